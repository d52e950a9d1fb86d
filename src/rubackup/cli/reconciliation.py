"""How it is told in what a pool and the catalogue differ."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rubackup.cli import output


def tell(pool: str, found: Mapping[str, Any]) -> None:
    """A line for the pool, and one for each copy."""
    verbs = ("adopted", "marked Not Trusted") if found["applied"] else ("unknown to the catalogue", "not in the pool")
    print(f"{output.plain(pool)}: {found['found']} copies {verbs[0]}, {found['lost']} copies {verbs[1]}.")
    for one in found["found_records"]:
        until = (
            f"kept until {one['store_until']} ({one['kept_by']})" if one["store_until"] else "kept until it is deleted"
        )
        print(f"  + {one['uuid']}  {one['client_hwid']}  {one['size_bytes']}  {output.plain(one['resource'])}  {until}")
    for one in found["lost_records"]:
        print(f"  - {one['uuid']}  copy {one['id']}")
    more = found["found"] + found["lost"] - len(found["found_records"]) - len(found["lost_records"])
    if more > 0:
        print(f"  … and {more} more")


def progress(text: str) -> None:
    """How far it is, beside what is printed at the end."""
    print(output.plain(text), file=sys.stderr, flush=True)
