"""Laws that hold for any tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.trees import Copies, assert_same, landed

IS_ROOT = os.geteuid() == 0
names = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 0x2F} & {*name} and name not in {b".", b".."})
modes = st.integers(0, 0o7777).map(lambda mode: mode if IS_ROOT else mode | 0o700)
times = st.integers(-(2**31) * 10**9, 2**33 * 10**9)
contents = st.one_of(
    st.binary(max_size=200),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 60_000)).map(lambda pair: pair[0] * pair[1]),
)
attributes = st.dictionaries(
    st.sampled_from(["user.a", "user.b", *(["trusted.c"] if IS_ROOT else [])]), st.binary(max_size=20), max_size=2
)
files = st.fixed_dictionaries({"kind": st.just("file"), "data": contents, "xattrs": attributes})
links = st.fixed_dictionaries({"kind": st.just("link"), "target": names})
fifos = st.just({"kind": "fifo"})
again = st.fixed_dictionaries({"kind": st.just("again"), "which": st.integers(0, 50)})
leaves = st.tuples(st.one_of(files, files, links, fifos, again), modes, times)
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=5),
    lambda below: st.dictionaries(names, st.one_of(leaves, st.tuples(below, modes, times)), max_size=5),
    max_leaves=25,
)


def build(root: bytes, tree: dict, known: list[bytes]) -> None:
    """Make a tree on the disk; `again` is another name of a file made before."""
    for name, (what, mode, time) in tree.items():
        path = root + b"/" + name
        if what.get("kind") == "file":
            Path(os.fsdecode(path)).write_bytes(what["data"])
            for key, value in what["xattrs"].items():
                os.setxattr(path, key, value)
            known.append(path)
        elif what.get("kind") == "link":
            Path(os.fsdecode(path)).symlink_to(os.fsdecode(what["target"]))
            known.append(path)
        elif what.get("kind") == "fifo":
            os.mkfifo(path)
        elif what.get("kind") == "again":
            if known:
                os.link(known[what["which"] % len(known)], path, follow_symlinks=False)
            continue
        else:
            Path(os.fsdecode(path)).mkdir()
            build(path, what, known)
        if what.get("kind") != "link":
            Path(os.fsdecode(path)).chmod(mode)
        os.utime(path, ns=(0, time), follow_symlinks=False)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=trees, second=trees)
def test_any_tree_comes_back(first: dict, second: dict) -> None:
    """A copy restores to what was copied; so does one built upon it after any change; and over what is there."""
    place = Path(tempfile.mkdtemp())
    try:
        source = place / "source"
        source.mkdir()
        build(os.fsencode(source), first, [])
        copies = Copies()
        copies.backup_later(source, "one")
        copies.restore(source, place / "one", "one")
        assert_same(source, landed(place / "one", source))

        build_over(source, second)
        copies.backup_later(source, "two", "one", seconds=120)
        copies.restore(source, place / "two", "two")
        assert_same(source, landed(place / "two", source))
        assert copies.told() == []
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


def build_over(source: Path, tree: dict) -> None:
    """Replace what has a name of the new tree, keep the rest."""
    for name in tree:
        path = Path(os.fsdecode(os.fsencode(source) + b"/" + name))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
    build(os.fsencode(source), tree, [])
