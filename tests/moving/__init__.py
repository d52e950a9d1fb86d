"""Copies that move between pools of every kind while their processes are killed: `scripts/move-copies`."""
