"""`scripts/try-packages`: the packages of the current commit, built twice, in a Debian 12 that boots."""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packages import clone as clones
from packages import dedicated, rpms
from packages.alone import Alone
from packages.container import base, booted
from packages.everything import Everything
from packages.page import Page
from packages.renewal import catalogue, renewal
from packages.rolling import Rolling
from packages.walk import ORDER, Steps, Walk

ROOT = Path(__file__).parents[2]
PARTS = ("rpm", "one", "alone", "many")


def build(out: Path, source: Path = ROOT) -> Path:
    """The packages of a clone's commit."""
    done = subprocess.run(
        ["scripts/build-packages", "--out", str(out)], cwd=source, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHON": str(ROOT / ".venv/bin/python")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
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
    parser.add_argument("--newer", type=Path, help="packages of `packages.clone`, built already")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("try-packages: boots a container and has to be root\n")
        return 2
    missing = [name for name in ("debootstrap", "systemd-nspawn", "rpm", "nsenter") if shutil.which(name) is None]
    if missing:
        sys.stderr.write(f"try-packages: missing: {', '.join(missing)}\n")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rb-packages-", dir="/var/tmp") as name:
        work = Path(name)
        lower = base(chosen.cache)
        packages, newer, revision = built(chosen, work)
        step = Steps()
        page = Page("installation")
        if "rpm" in chosen.parts:
            rpms.look(packages, newer, lower, work / "rpm-root", step)
        if "one" in chosen.parts:
            one_host(packages, newer, lower, work, page, step)
        if "alone" in chosen.parts:
            with booted("rb-alone", lower, work) as host:
                Alone(host, page, step).walk(packages, newer)
        if "many" in chosen.parts:
            with dedicated.site(packages, lower, work / "dedicated", page, step) as site:
                site.set_up()
                site.copy_and_back()
                site.take_over()
                Rolling(site, packages, newer, revision).walk()
                site.renamed()
        if set(chosen.parts) == set(PARTS):
            assert not page.left(), f"nobody has taken {page.left()}"
    print(
        f"The {len(ORDER)} packages do what the guide and the manual say: {(time.monotonic() - began) / 60:.1f} minutes."
    )
    return 0


def one_host(packages: Path, newer: Path, lower: Path, work: Path, page: Page, step: Steps) -> None:
    """Everything on one host, from dpkg -i to purge."""
    with booted("rb-primary", lower, work) as host:
        walk = Walk(host, page, step)
        walk.set_up(packages)
        walk.users_and_units()
        walk.stands_still()
        walk.copy_and_back()
        walk.by_name()
        client = Everything(walk)
        client.copy_and_back()
        client.scripts()
        client.limits()
        renewal(walk)
        catalogue(walk)
        walk.upgrade(newer)
        walk.remove_and_purge()


def built(chosen: argparse.Namespace, work: Path) -> tuple[Path, Path, int]:
    """The packages of the commit, those of a later version, and the migration that this one brings."""
    clone = work / "clone"
    revision = clones.newer(ROOT, clone)
    packages = chosen.packages or build(work / "first")
    if chosen.packages is None:
        again = build(work / "again")
        differing = [
            file.name for file in packages.iterdir() if not filecmp.cmp(file, again / file.name, shallow=False)
        ]
        assert not differing, f"built twice, these differ: {differing}"
        print(f"          built twice: all {len(list(packages.iterdir()))} packages are the same bytes")
    return packages, chosen.newer or build(work / "newer", clone), revision


if __name__ == "__main__":
    sys.exit(main())
