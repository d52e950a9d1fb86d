"""Filling an empty catalogue out of what lies in pools. Every step looks first; a run that was ended is completed by the next.

Done through the API, so pools of any media server can be taken over. Nothing of a pool is removed by it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from rubackup.domain.errors import Conflict, Invalid, RubackupError, SystemFault
from rubackup.domain.pools import FILE_SYSTEM, PASSING, WRITTEN, PoolProblem
from rubackup.roles.recovery import reconciling
from rubackup.roles.rest import ApiFault, RestClient, failed
from rubackup.services.storage_kinds import FAMILIES

_OWNER = re.compile(r"another pool \(([0-9a-f]{32})\)")
_MADE: Final = "Taken over by rebuild-catalogue"
_OPEN_SECONDS: Final = 12 * 3600.0
"""A pool whose index is gone is read from its storages first: millions of lists of files take hours."""
_SETTLE_SECONDS: Final = 45.0
"""A disk that is not there does not come by waiting."""
_POLL_SECONDS: Final = 1.0
_CONFLICT: Final = 409


class Rebuilt(msgspec.Struct, kw_only=True):
    """What came of it."""

    pools: dict[str, dict[str, Any]]
    """By name what the reconciliation of each pool said."""
    strangers: dict[str, int]
    """Hardware ids of clients that are not authorised, with how many of the copies that were found are theirs."""
    unusable: dict[str, str]
    """By name what keeps a pool from being looked at."""


def rebuild(
    api: RestClient, wanted: Sequence[tuple[str, str]], media_server: str, tell: Callable[[str], None]
) -> Rebuilt:
    """Take over the pools in these folders (name, folder), then adopt what lies in every pool of the catalogue.

    Invalid or Conflict name a folder that is no pool's, or a pool that cannot be used.
    """
    server = media_server or _only_media_server(api) if wanted else ""
    for name, folder in wanted:
        _take_over(api, name, folder, server)
    stored = with_storages(api.items)
    pools: dict[str, dict[str, Any]] = {}
    unusable: dict[str, str] = {}
    found: Counter[str] = Counter()
    for row in api.items("/pool_list", sort_by="id"):
        if row["pool_type"] in WRITTEN:
            if row["pool_name"] not in stored:
                tell(f"Pool {row['pool_name']} has no storage; it is left out.")
                continue
            if problem := _wait_open(api, row, tell):
                unusable[row["pool_name"]] = problem
                continue
            walked = reconcile(api, row, tell, apply=True, patience_seconds=_OPEN_SECONDS)
            pools[row["pool_name"]] = walked.answer
            found += walked.owners
    known = {row["hwid"] for row in api.items("/clients")}
    strangers = {hwid: number for hwid, number in sorted(found.items()) if hwid not in known}
    return Rebuilt(pools=pools, strangers=strangers, unusable=unusable)


def with_storages(items: Callable[[str], Iterable[Mapping[str, Any]]]) -> set[str]:
    """Names of the pools that have a storage, of whatever type; `items` reads a list of the API."""
    return {row["pool"] for family in FAMILIES.values() for row in items(f"/{family}")}


def reconcile(
    api: RestClient,
    pool: Mapping[str, Any],
    tell: Callable[[str], None],
    *,
    apply: bool,
    patience_seconds: float | None = None,
) -> reconciling.Walked:
    """One pool, however many copies it has. Calls that nobody answers are made again for a while."""
    patience = reconciling.patience(pool) if patience_seconds is None else patience_seconds

    def ask(after: str) -> dict[str, Any]:
        query = urlencode({"apply": str(apply).lower(), "limit": reconciling.COPIES, "after": after})
        found: dict[str, Any] = api.post(f"/pool_list/{pool['id']}/reconciliation?{query}")["data"]
        return found

    return reconciling.walk(
        ask,
        lambda error: isinstance(error, RubackupError) and failed(error),
        lambda text: tell(f"Pool {pool['pool_name']}: {text}"),
        patience,
    )


def _only_media_server(api: RestClient) -> str:
    names = [row["hostname"] for row in api.items("/media_servers")]
    if len(names) != 1:
        told = f"there are {', '.join(sorted(names))}" if names else "none is authorised"
        raise Invalid(f"Say by --media-server which media server has the folders: {told}.")
    return str(names[0])


def _take_over(api: RestClient, name: str, folder: str, server: str) -> None:
    storages = list(api.items("/storage_local_catalogs"))
    held = next((row["pool"] for row in storages if row["path"] == folder), None)
    if held == name:
        return
    if held is not None:
        raise Conflict(f"{folder} is a storage of the pool {held} already.")
    pool = _pool(api, name)
    if pool is None:
        pool = _make(api, name, server)
    elif pool["description"] != _MADE and not any(row["pool"] == name for row in storages):
        raise Conflict(f"There is a pool {name} already, without storages: delete it, or choose another name.")
    empty = not any(row["pool"] == name for row in storages)
    try:
        uuid = _owner(api, name, folder)
        if uuid is None:  # the pool was made for it by an earlier run, or has another folder of the same pool
            return
        if not empty:
            raise Conflict(f"{folder} belongs to the pool {uuid}, the pool {name} is another one.")
        api.call("DELETE", f"/pool_list/{pool['id']}")
        _make(api, name, server, uuid)
        _add(api, name, folder)
    except RubackupError:
        left = _pool(api, name) if empty else None
        if left is not None:  # a pool without storage would be in everybody's way
            with contextlib.suppress(ApiFault):  # it got its storage after all
                api.call("DELETE", f"/pool_list/{left['id']}")
        raise


def _pool(api: RestClient, name: str) -> dict[str, Any] | None:
    return next((row for row in api.items("/pool_list") if row["pool_name"] == name), None)


def _make(api: RestClient, name: str, server: str, uuid: str = "") -> dict[str, Any]:
    body = {"pool_name": name, "pool_type": FILE_SYSTEM, "media_server": server, "description": _MADE}
    api.post("/pool_list", {"data": body | ({"uuid": uuid} if uuid else {})})
    made = _pool(api, name)
    if made is None:
        raise SystemFault(f"The pool {name} was deleted just now.")
    return made


def _owner(api: RestClient, name: str, folder: str) -> str | None:
    """Uuid of another pool whose folder it is; None when it is this one's, and a storage of it now."""
    try:
        _add(api, name, folder)
    except ApiFault as error:
        found = _OWNER.search(error.message)
        if error.status != _CONFLICT or found is None:
            raise
        return found[1]
    return None


def _add(api: RestClient, name: str, folder: str) -> None:
    api.post(
        "/storage_local_catalogs", {"data": {"path": folder, "pool": name, "description": _MADE, "existing": True}}
    )


def _wait_open(api: RestClient, row: dict[str, Any], tell: Callable[[str], None]) -> str:
    """Wait until the pool is open, whose index may have to be made anew from its storages; else what keeps it from that."""
    began, said = time.monotonic(), ""
    while True:
        now = api.get(f"/pool_list/{row['id']}")
        problem, code = now["problem"], now["problem_code"]
        if not problem or code == PoolProblem.FULL:  # nothing is written
            return ""
        patience = _OPEN_SECONDS if code in PASSING else _SETTLE_SECONDS
        if time.monotonic() - began > patience:
            return str(problem)
        if problem != said:
            tell(f"Pool {row['pool_name']}: {problem}")
            said = problem
        time.sleep(_POLL_SECONDS)
