"""Tasks in the queue: claim, lease, heartbeat, fencing, state moves."""
