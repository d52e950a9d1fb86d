"""The chunk store at sizes that no test reaches: an index of 50 million chunks, its collection, a manifest of 5 million entries.

    .venv/bin/python -m bench.scale [--chunks N] [--scattered N] [--collected N] [--rebuilt N] [--entries N] [--dir FOLDER] [--json FILE]

Nothing is stubbed: the index is filled through `Index`, records are written by sessions of a pool and collected by it. Only
the contents of packs are left out: the files are sparse, as long as the index says. What it means for 100 TB: docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bench.scale.collection import measure_collection
from bench.scale.index import measure_index
from bench.scale.manifest import measure_manifest
from bench.scale.rebuild import measure_rebuild
from bench.scale.synthetic import ordered, scattered


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=50_000_000, help="of the index that is built in order")
    parser.add_argument("--scattered", type=int, default=2_000_000, help="of the index that is built with random ids")
    parser.add_argument("--collected", type=int, default=50_000_000, help="of the pool that is collected")
    parser.add_argument("--rebuilt", type=int, default=250_000, help="of the pool whose index is lost")
    parser.add_argument("--entries", type=int, default=5_000_000, help="of the manifest")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where the folder of this run is made")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rubackup-scale-", dir=options.dir))
    results: dict[str, Any] = {}
    try:
        for key, wanted, act in (
            ("index", options.chunks, lambda count: measure_index(folder / "index", count, ordered(count))),
            (
                "index, random ids",
                options.scattered,
                lambda count: measure_index(folder / "scattered", count, scattered),
            ),
            ("collection", options.collected, lambda count: measure_collection(folder / "pool", count)),
            ("rebuild", options.rebuilt, lambda count: measure_rebuild(folder / "lost", count)),
            ("manifest", options.entries, lambda count: measure_manifest(folder / "manifests", count)),
        ):
            if wanted:
                results[key] = act(wanted)
                print(key, json.dumps(results[key], indent=2), flush=True)
            for left in folder.iterdir():
                shutil.rmtree(left)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
