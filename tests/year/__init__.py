"""A year of schedules on a fake clock against a model of its own: `scripts/year`."""
