"""Which files a restore takes, where they land, and what happens to those that are there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rubackup.chunkstore.group import decode
from rubackup.client.modules.filesystem import write
from rubackup.domain.errors import Invalid, Stopped
from rubackup.domain.filenames import listed, printable
from support.channels import MemoryRestore
from support.trees import Copies, assert_same, landed, make_rich_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    root = tmp_path / "source"
    make_rich_tree(root)
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where copies are restored."""
    return tmp_path / "target"


@pytest.fixture
def copies(source: Path) -> Copies:
    """A copy of the tree."""
    copies = Copies()
    copies.backup(source)
    return copies


def names(root: Path) -> set[str]:
    """All paths below `root`."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_chosen_file(copies: Copies, source: Path, target: Path) -> None:
    """One chosen file lands alone, with the folders above it and their metadata."""
    done = copies.restore(source, target, paths=[f"{source}/a/c"])

    assert names(landed(target, source)) == {"a", "a/c"}
    assert (done.files, done.files_failed) == (1, 0)
    assert_same(source / "a" / "c", landed(target, source) / "a" / "c")
    assert stat.S_IMODE((landed(target, source) / "a").stat().st_mode) == 0o1777


def test_chosen_folder(copies: Copies, source: Path, target: Path) -> None:
    """A chosen folder comes with all below; a trailing slash does not matter; overlaps are no matter either."""
    copies.restore(source, target, paths=[f"{source}/a/", f"{source}/a/c", f"{source}/empty"])

    assert names(landed(target, source)) == {"a", "a/c", "a/second name", "a/the link again", "empty"}
    assert os.getxattr(landed(target, source) / "a", "user.folder") == b"yes"


def test_chosen_further_name(copies: Copies, source: Path, target: Path) -> None:
    """A further name of a file, chosen without its first, is restored with its contents; two of them stay one file."""
    copies.restore(source, target, paths=[f"{source}/a/second name", f"{source}/zz third name"])
    second, third = landed(target, source) / "a" / "second name", landed(target, source) / "zz third name"

    assert second.read_bytes() == b"small"
    assert second.samefile(third)
    assert second.stat().st_nlink == 2


def test_missing_path(copies: Copies, source: Path, target: Path) -> None:
    """A chosen path that the copy does not have is listed as failed; the others are restored."""
    done = copies.restore(source, target, paths=[f"{source}/no", f"{source}/a.txt"])

    assert (done.files, done.files_failed) == (1, 1)
    assert copies.watch.texts("error") == [f"{source}/no: is not in the copy"]
    assert names(landed(target, source)) == {"a.txt"}


@pytest.mark.parametrize("paths", [["etc/passwd"], ["/a/../b"]])
def test_impossible_path(copies: Copies, source: Path, target: Path, paths: list[str]) -> None:
    """A chosen path must be absolute and without `..`."""
    with pytest.raises(Invalid):
        copies.restore(source, target, paths=paths)


def test_folder_above_the_resource(copies: Copies, source: Path, target: Path) -> None:
    """A folder above the resource stands for the whole resource."""
    copies.restore(source, target, paths=[str(source.parent)])

    assert_same(source, landed(target, source))


def test_path_as_a_listing_shows_it(copies: Copies, source: Path, target: Path) -> None:
    r"""A name that is not UTF-8 may be chosen in the form of a listing, with `\xNN`."""
    done = copies.restore(source, target, paths=[f"{source}/not utf-8 \\xff\\xfe"])

    assert (done.files, done.files_failed) == (1, 0)


def test_what_is_shown_alike_is_never_taken_for_another(tmp_path: Path, target: Path) -> None:
    """A name with a line end beside one that holds its escape: each by what is shown of it, alone by its name too."""
    source = tmp_path / "source"
    source.mkdir()
    names = [b"a\nb", rb"a\x0ab", rb"only\x41", b"\xff", rb"\xff"]
    for name in names:
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(name)
    copies = Copies()
    copies.backup(source)
    for number, name in enumerate(names):
        for form in (printable, listed):
            folder = target / f"{number}{form.__name__}"
            copies.restore(source, folder, paths=[f"{source}/{form(name)}"])
            assert [file.read_bytes() for file in landed(folder, source).iterdir()] == [name]
    copies.restore(source, target / "literal", paths=[f"{source}/only\\x41"])
    assert [file.read_bytes() for file in landed(target / "literal", source).iterdir()] == [rb"only\x41"]


def test_few_files_do_not_read_the_manifest_through(tmp_path: Path, target: Path) -> None:
    """Choosing one file of many reads a few blocks of the manifest."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(12_000):
        (source / f"{number:030}").touch()
    copies = Copies()
    copies.backup(source)
    reads: list[int] = []

    def count(channel: MemoryRestore) -> None:
        real = channel.read_manifest
        channel.read_manifest = lambda at, length: (reads.append(length), real(at, length))[1]

    copies.restore(source, target, paths=[f"{source}/{9000:030}"], change=count)

    assert sum(reads) < len(copies.pool.manifests["full"]) / 2


def test_in_place(copies: Copies, source: Path) -> None:
    """In place, what is missing or changed is as it was, and what is additional stays."""
    (source / "small").write_bytes(b"spoiled")
    (source / "a" / "c").unlink()
    (source / "extra").write_text("mine")
    (source / "locked").chmod(0o777)
    done = copies.restore(source, in_place=True)

    assert done.files_failed == 0
    assert (source / "extra").read_text() == "mine"
    (source / "extra").unlink()
    again = copies.restore(source, source.parent / "reference")
    assert again.files_failed == 0
    (source / "a").touch()  # only the times of folders tell that `extra` was there
    os.utime(source, ns=(0, (landed(source.parent / "reference", source)).stat().st_mtime_ns))
    os.utime(source / "a", ns=(0, (landed(source.parent / "reference", source) / "a").stat().st_mtime_ns))
    assert_same(source, landed(source.parent / "reference", source))


def test_in_place_below_a_trusted_link(tmp_path: Path) -> None:
    """In place, a link of root's above the resource is followed, as /home may be a link."""
    real = tmp_path / "data" / "home"
    (real / "user").mkdir(parents=True)
    (real / "user" / "file").write_text("x")
    (tmp_path / "home").symlink_to("data/home")
    source = tmp_path / "home" / "user"
    copies = Copies()
    copies.backup(source)
    (real / "user" / "file").unlink()
    copies.restore(source, in_place=True)

    assert (real / "user" / "file").read_text() == "x"
    assert (tmp_path / "home").is_symlink()


def test_in_place_after_the_folders_above_were_lost(tmp_path: Path) -> None:
    """In place, folders above the resource that are gone are made again with their metadata."""
    above = tmp_path / "above"
    (above / "user").mkdir(parents=True)
    (above / "user" / "file").write_text("x")
    above.chmod(0o750)
    wanted = above.stat().st_mtime_ns
    copies = Copies()
    copies.backup(above / "user")
    (above / "user" / "file").unlink()
    (above / "user").rmdir()
    above.rmdir()
    copies.restore(above / "user", in_place=True)

    assert (above / "user" / "file").read_text() == "x"
    assert (stat.S_IMODE(above.stat().st_mode), above.stat().st_mtime_ns) == (0o750, wanted)


@pytest.mark.parametrize(
    ("overwrite", "touched", "spoiled"),
    [("if_changed", "kept", "copy"), ("always", "copy", "copy"), ("never", "kept", "kept")],
)
def test_overwrite(copies: Copies, source: Path, target: Path, overwrite: str, touched: str, spoiled: str) -> None:
    """`if_changed` replaces what differs in type, size or time, `always` everything, `never` nothing."""
    copies.restore(source, target)
    same, differs = landed(target, source) / "a.txt", landed(target, source) / "a-b"
    before = {same: same.stat().st_ino, differs: differs.stat().st_ino}
    differs.write_text("spoiled")
    copies.restore(source, target, overwrite=overwrite)

    assert (same.stat().st_ino == before[same]) == (touched == "kept")
    assert (differs.read_text() == "spoiled") == (spoiled == "kept")


def test_same_time_other_size(copies: Copies, source: Path, target: Path) -> None:
    """A file of another size is restored even where its time is the copy's."""
    copies.restore(source, target)
    spoiled = landed(target, source) / "a-b"
    before = spoiled.stat()
    spoiled.write_text("spoiled")
    os.utime(spoiled, ns=(0, before.st_mtime_ns))
    copies.restore(source, target)

    assert_same(source, landed(target, source))


def test_overwrite_of_links(copies: Copies, source: Path, target: Path) -> None:
    """Links, fifos and further names are restored over what took their place."""
    copies.restore(source, target)
    there = landed(target, source)
    for name in ("link", "fifo", "zz third name"):
        (there / name).unlink()
        (there / name).write_text("in the way")
    copies.restore(source, target)

    assert_same(source, there)


def test_unknown_overwrite(copies: Copies, source: Path, target: Path) -> None:
    """An overwrite rule that does not exist is refused before anything is written."""
    with pytest.raises(Invalid, match="if_changed"):
        copies.restore(source, target, overwrite="sometimes")
    assert not target.exists()


def test_folder_in_the_place_of_a_file(copies: Copies, source: Path, target: Path) -> None:
    """A folder where a file must land is not removed: that file fails."""
    (landed(target, source) / "small").mkdir(parents=True)
    done = copies.restore(source, target, paths=[f"{source}/small", f"{source}/a.txt"])

    assert (done.files, done.files_failed) == (1, 1)
    assert copies.watch.texts("error") == [f"{source}/small: a folder stands in its place"]


def test_file_in_the_place_of_a_folder(copies: Copies, source: Path, target: Path) -> None:
    """A file where a folder must be makes the folder and all below it fail, each listed."""
    landed(target, source).mkdir(parents=True)
    (landed(target, source) / "a").write_text("in the way")
    done = copies.restore(source, target)

    assert done.files_failed == 1 + 3
    assert f"{source}/a/c: its folder could not be restored" in copies.watch.texts("error")
    assert (landed(target, source) / "small").samefile(landed(target, source) / "zz third name")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_by_name(copies: Copies, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners are found by name on the host that restores; `numeric_owner` takes the ids as they were."""
    from rubackup.client.modules.filesystem import apply

    monkeypatch.setattr(apply, "_uid", {"root": 4711}.get)
    monkeypatch.setattr(apply, "forget_ids", lambda: None)
    monkeypatch.setattr("rubackup.client.modules.filesystem.restore.forget_ids", lambda: None)
    copies.restore(source, target / "names")
    copies.restore(source, target / "numbers", module_parameters={"numeric_owner": True})

    assert (landed(target / "names", source) / "small").stat().st_uid == 4711
    assert (landed(target / "names", source) / "a.txt").stat().st_uid == 12345
    assert (landed(target / "numbers", source) / "small").stat().st_uid == 0


def test_damaged_pack(copies: Copies, source: Path, target: Path) -> None:
    """Files whose chunks are damaged fail with the reason; every other file is restored."""
    number = copies.pool.places[next(iter(copies.pool.reader("full").rows(0, 1)))[0]]
    hit = set(decode(copies.pool.groups[number]).ids)
    done = copies.restore(source, target, change=lambda channel: channel.damaged.add(number))

    reader = copies.pool.reader("full")
    lost = {
        entry.name
        for _, entries in reader.folders()
        for entry in entries
        if hit & {name for name, _ in reader.rows(entry.first_row, entry.rows)}
    }
    assert lost
    assert done.files_failed == len(lost)
    assert all("Pack 7 is damaged." in text for text in copies.watch.texts("error"))


def test_chunk_with_false_content(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is hashed again before it is written: a false one never reaches a file."""
    from rubackup.chunkstore import group

    monkeypatch.setattr(group, "check_stored", group.read_head)  # a server that forges sums
    copies = Copies()
    copies.backup(source, compression="None")
    for number, data in copies.pool.groups.items():
        copies.pool.groups[number] = data[:-1] + bytes([data[-1] ^ 1])
    spoiled = copies.restore(source, target, paths=[f"{source}/large"])

    assert spoiled.files_failed == 1
    assert "does not have the content that its id names" in copies.watch.texts("error")[0]
    assert names(landed(target, source)) == set()


def test_large_file_over_several_batches(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than a batch is put together from several, beside small ones."""
    monkeypatch.setattr(write, "BATCH_BYTES", 1_000_000)
    source = tmp_path / "source"
    source.mkdir()
    (source / "1").write_text("before")
    (source / "2").write_bytes(os.urandom(5_500_000))
    (source / "3").write_text("after")
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)

    assert_same(source, landed(target, source))


def test_damage_at_the_start_of_a_large_file(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file that fails in its first batch fails once, and its other batches leave nothing behind."""
    monkeypatch.setattr(write, "BATCH_BYTES", 1_000_000)
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(5_500_000))
    copies = Copies()
    copies.backup(source)
    done = copies.restore(source, target, change=lambda channel: channel.damaged.add(0))

    assert (done.files, done.files_failed, len(copies.watch.texts("error"))) == (0, 1, 1)
    assert names(landed(target, source)) == set()


def test_stop_leaves_no_half_file(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that is stopped in the middle of a file removes what it has of it."""
    monkeypatch.setattr(write, "BATCH_BYTES", 1_000_000)
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(9_000_000))
    copies = Copies()
    copies.backup(source)

    def stop_when_half_written() -> None:
        if any(path.stat().st_size > 1_000_000 for path in landed(target, source).glob(".rubackup-*")):
            raise Stopped

    copies.watch.on_check = stop_when_half_written
    with pytest.raises(Stopped):
        copies.restore(source, target)
    assert names(landed(target, source)) == set()


def test_batches_of_few_steps(copies: Copies, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where batches end changes nothing."""
    monkeypatch.setattr(write, "BATCH_STEPS", 1)
    copies.restore(source, target)

    assert_same(source, landed(target, source))
