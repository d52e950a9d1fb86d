"""Cleans a pool of this media server for the server."""

from __future__ import annotations

from rubackup.agent.cleaning import clean_pool
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import RunClean


def clean(pools: PoolKeeper, order: RunClean, task: RunningTask) -> Outcome:
    """Do RunClean."""
    pools.wait_for(order.pool_id)
    return clean_pool(pools.to_delete_from(order.pool_id), order, task, pools.safety)
