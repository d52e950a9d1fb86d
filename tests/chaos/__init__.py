"""`scripts/chaos`: a whole system at work, whose processes are killed at random."""
