"""Power cuts: a job is recorded, and its store must survive the loss of power at any event. `scripts/power-cut`."""
