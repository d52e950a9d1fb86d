"""The packages in a Debian 12 that boots: what an administrator does with the guide in hand (`scripts/try-packages`)."""
