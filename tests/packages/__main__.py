"""`scripts/try-packages`: the packages of the current commit, built twice, in a Debian 12 that boots."""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packages import dedicated, rpms
from packages.container import base, booted
from packages.walk import ORDER, Walk

ROOT = Path(__file__).parents[2]


def build(out: Path, *arguments: str) -> Path:
    """The packages of the commit."""
    subprocess.run(
        ["scripts/build-packages", "--out", str(out), *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    return out


def main() -> int:
    """Entry; the first thing that is not as it should be ends it."""
    parser = argparse.ArgumentParser(prog="scripts/try-packages", description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=Path("/var/cache/rubackup-tests/bookworm"), help="the empty Debian"
    )
    parser.add_argument(
        "--packages", type=Path, help="packages that were built already; a second build is not compared then"
    )
    parser.add_argument("--newer", type=Path, help="packages of a later build, for the upgrade")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("try-packages: boots a container and has to be root\n")
        return 2
    missing = [name for name in ("debootstrap", "systemd-nspawn", "rpm", "nsenter") if shutil.which(name) is None]
    if missing:
        sys.stderr.write(f"try-packages: missing: {', '.join(missing)}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="rb-packages-", dir="/var/tmp") as name:
        work = Path(name)
        lower = base(chosen.cache)
        packages = chosen.packages or build(work / "first")
        if chosen.packages is None:
            again = build(work / "again")
            differing = [
                file.name for file in packages.iterdir() if not filecmp.cmp(file, again / file.name, shallow=False)
            ]
            assert not differing, f"built twice, these differ: {differing}"
            print(f"          built twice: all {len(list(packages.iterdir()))} packages are the same bytes")
        newer = chosen.newer or build(work / "newer", "--release-suffix", ".1")
        rpms.look(packages, work / "rpm-root")
        with booted("rb-primary", lower, work) as host:
            walk = Walk(host)
            walk.set_up(packages)
            walk.users_and_units()
            walk.copy_and_back()
            walk.by_name()
            walk.upgrade(newer)
            walk.remove_and_purge()
        dedicated.walk(packages, lower, work / "dedicated")
    print(f"The {len(ORDER)} packages do what the guide says.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
