"""`rubackup up`: every process of the system on one machine, under one supervisor."""
