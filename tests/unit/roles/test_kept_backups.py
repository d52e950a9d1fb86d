"""What `backup-catalogue --keep` removes: older backups that the new one can stand for, and nothing else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from rubackup.catalog.backup.file import END, Header, Writer
from rubackup.roles.recovery.safekeeping import prune

OURS = Header(
    product="2.0.0", schema="0021", server="one", home="up", root="ab" * 32, taken_at=dt.datetime.now(dt.UTC),
    postgres="15", lsn="0/0", snapshot="1:1:",
)  # fmt: skip


def write(folder: Path, day: int, *, server: str = "one", keys: bool = False, phrase: bytes = b"") -> Path:
    """A backup of that day, without rows."""
    path = folder / f"rubackup-catalogue-202611{day:02}T120000Z.rbcat"
    head = Header(**{name: getattr(OURS, name) for name in OURS.__struct_fields__} | {"server": server, "keys": keys})
    writer = Writer(path, head, phrase)
    writer.write(END, b"{}")
    writer.commit()
    return path


def test_only_older_ones_of_the_same_kind_go(tmp_path: Path) -> None:
    """One with keys, one of another server, one that is none, a damaged one and a link stay, whatever they are called."""
    plain = [write(tmp_path, day) for day in (10, 11, 12)]
    with_keys = write(tmp_path, 1, keys=True, phrase=b"a passphrase of some length")
    sealed = write(tmp_path, 2, phrase=b"a passphrase of some length")
    foreign = write(tmp_path, 3, server="two")
    precious = tmp_path / "rubackup-catalogue-20261104T120000Z.rbcat"
    precious.write_text("precious")
    damaged = write(tmp_path, 5)
    damaged.write_bytes(damaged.read_bytes()[:40])
    link = tmp_path / "rubackup-catalogue-20261106T120000Z.rbcat"
    link.symlink_to(foreign)
    prune(tmp_path, OURS, 2)
    assert {*tmp_path.iterdir()} == {*plain[1:], with_keys, sealed, foreign, precious, damaged, link}


def test_an_encrypted_one_with_keys_displaces_its_own_kind(tmp_path: Path) -> None:
    """Their headers are read without the passphrase."""
    phrase = b"a passphrase of some length"
    made = [write(tmp_path, day, keys=True, phrase=phrase) for day in (10, 11, 12)]
    plain = write(tmp_path, 1)
    ours = Header(**{name: getattr(OURS, name) for name in OURS.__struct_fields__} | {"keys": True, "salt": "00" * 16})
    prune(tmp_path, ours, 1)
    assert {*tmp_path.iterdir()} == {made[2], plain}
