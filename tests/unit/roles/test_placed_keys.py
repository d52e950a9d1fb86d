"""What `restore-catalogue --with-keys` does to master keys that are on the host: none is lost, whichever is older."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.catalog.backup.file import KeyFile
from rubackup.client.keys import KeyStore
from rubackup.domain.errors import Conflict
from rubackup.roles.recovery import master_keys, replaced
from rubackup.roles.recovery.homes import INSTALLED, UP, Home

PLACES = {UP: "keys/client", INSTALLED: "keys"}


@pytest.fixture(params=sorted(PLACES))
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A host without anything."""
    return Home(request.param, tmp_path, tmp_path / "keys/rootCA/serverRootCACert.crt")


def store_of(home: Home) -> KeyStore:
    """Its keys, read anew."""
    return KeyStore(home.root / PLACES[home.kind] / "master-key")


def kept(home: Home) -> list[KeyFile]:
    """What a backup taken now would carry."""
    return [one for one in home.files() if master_keys.is_one(one.path)]


def have(home: Home) -> None:
    """The files that `files` of a host must find."""
    for name in ("secrets/superuser-password", "etc/complete", "etc/config.file", "etc/rubackup_api.env",
                 "etc/rubackup_api_logger.conf"):  # fmt: skip
        path = home.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("something\n")


def test_a_key_that_is_newer_than_the_backup_stays_and_both_open_copies(home: Home) -> None:
    """The key was rotated since: copies of both are in the pools."""
    have(home)
    first = store_of(home).current()
    files = kept(home)
    second = store_of(home).rotate()
    home.place(files, replace=True)
    assert store_of(home).key_ids() == [second.id.hex(), first.id.hex()]


def test_a_key_that_was_made_anew_stays_beside_the_backups(home: Home) -> None:
    """A host that was set up again before it was restored; nothing is refused, since nothing is lost."""
    have(home)
    first = store_of(home).current()
    second = store_of(home).rotate()
    files = kept(home)
    for path in (home.root / PLACES[home.kind]).rglob("*"):
        if path.is_file():
            path.unlink()
    third = store_of(home).current()
    assert home.place(files, replace=False)
    assert store_of(home).current().id == third.id
    assert {*store_of(home).key_ids()} == {key.id.hex() for key in (first, second, third)}
    assert home.place(files, replace=False) in ([], [store_of(home).path])  # what a second time brings is here already
    assert len(store_of(home).key_ids()) == 3


def test_a_key_that_the_backup_calls_old_gives_way(home: Home) -> None:
    """The backup is the newer one: a key that was perhaps rotated for a reason is not used again."""
    have(home)
    first = store_of(home).current()
    before = store_of(home).path.read_bytes()
    second = store_of(home).rotate()
    files = kept(home)
    store_of(home).path.write_bytes(before)
    home.place(files, replace=True)
    assert store_of(home).key_ids() == [second.id.hex(), first.id.hex()]


def test_a_damaged_key_gives_way_and_is_put_aside(home: Home) -> None:
    """And a damaged one in the backup never takes the place of a whole one."""
    have(home)
    first = store_of(home).current()
    files = kept(home)
    store_of(home).path.write_bytes(b"no key")
    damaged = kept(home)
    home.place(files, replace=True)
    assert store_of(home).key_ids() == [first.id.hex()]
    assert [path.read_bytes() for path in home.root.rglob("damaged/*")] == [b"no key"]
    home.place(damaged, replace=True)
    assert store_of(home).key_ids() == [first.id.hex()]


def test_everything_comes_to_a_host_that_has_nothing(home: Home, tmp_path: Path) -> None:
    """The same current key, the same older ones; other files that differ are still refused."""
    have(home)
    store_of(home).current()
    store_of(home).rotate()
    ids = store_of(home).key_ids()
    empty = Home(home.kind, tmp_path / "new", tmp_path / "new/root.crt")
    empty.root.mkdir()
    for folder in ("keys", "etc", "secrets"):
        (empty.root / folder).mkdir()
    empty.place(home.files(), replace=False)
    assert store_of(empty).key_ids() == ids
    (empty.root / "keys/other").write_text("here")
    with pytest.raises(Conflict, match="keys/other"):
        empty.place([KeyFile("keys/other", 0o600, b"there")], replace=False)


def test_what_is_replaced_is_kept_beside_and_in_no_backup(home: Home) -> None:
    """Whole, for its owner alone, and named; a second run replaces nothing, and keeps what it kept."""
    have(home)
    key, other = home.root / "keys/server/key.pem", home.root / "keys/same"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"of the backup")
    other.write_bytes(b"alike")
    files = home.files()
    key.write_bytes(b"of this host")
    key.chmod(0o640)
    told: list[str] = []
    with pytest.raises(Conflict):
        home.place(files, replace=False, tell=told.append)
    assert not (home.root / replaced.FOLDER).exists()

    for _ in range(2):
        home.place(files, replace=True, tell=told.append)
    assert key.read_bytes() == b"of the backup"
    (copy,) = [path for path in (home.root / replaced.FOLDER).rglob("*") if path.is_file()]
    folder = copy.parents[2]
    assert (copy.relative_to(folder), copy.read_bytes()) == (key.relative_to(home.root), b"of this host")
    assert [path.stat().st_mode & 0o777 for path in (copy, folder, folder.parent)] == [0o600, 0o700, 0o700]
    assert told == [f"What is replaced is kept in {folder}: keys/server/key.pem."]
    assert {one.path for one in home.files()} == {one.path for one in files}


def test_the_secret_of_sessions_is_in_no_backup(home: Home) -> None:
    """A restore withdraws sessions; whoever has the file shall not have their secret."""
    have(home)
    for name in ("keys/api/token-secret", "secrets/token-secret", "keys/api/apiKey.key"):
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("something\n")

    found = {Path(one.path).name for one in home.files()}
    assert "apiKey.key" in found
    assert "token-secret" not in found
