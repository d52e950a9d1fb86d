"""`rb_init` that is killed and run again, and run again when nothing is missing."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Conflict
from rubackup.roles.init import folders, nodes
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.layout import Layout
from support.initialised import Place, empty_place, in_child, killed_after_step, killed_at_write, pause, rows, tree

ABSENT = DatabaseAddress("", 0, "", "", "")
STRIDE = 1 if os.environ.get("INIT_EACH_WRITE") == "1" else 4
"""Every change of the file system in `scripts/nightly init`, each fourth in CI."""
AGAIN = {"issued_certificates", "clients_log"}
"""A certificate that was signed and not written yet is signed once more, and both are noted."""
KEY_PATHS = {
    "server/serverCert.crt": 0o600, "server/serverKey.key": 0o600, "client/clientCert.crt": 0o600,
    "client/clientKey.key": 0o600, "rootCA/serverRootCACert.crt": 0o644,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseAddress) -> object:
    """An installation that was made in one go."""
    with empty_place(tmp_path_factory.mktemp("whole") / "opt", postgres, "init_whole") as place:
        assert in_child(lambda: nodes.set_up(place.layout, place.plan, lambda _sentence: None)) == 0
        yield place


def assert_same(place: Place, whole: Place) -> None:
    """The same files with the same modes and owners, and as many rows in every table."""
    assert tree(place.layout.root) == tree(whole.layout.root)
    found, wanted = ({table: len(kept) for table, kept in rows(at.address).items()} for at in (place, whole))
    assert {table: number for table, number in found.items() if number != wanted[table] and table not in AGAIN} == {}
    assert [table for table in AGAIN if not wanted[table] <= found[table] <= wanted[table] + 2] == []


def test_the_emergency_storage_lies_in_the_installation(whole: Place) -> None:
    """Its folder is made, for the media server alone, and the catalogue names it."""
    folder = whole.layout.root / "var/emergency"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert any(str(folder) in str(row) for row in rows(whole.address)["global_configuration"])


def test_killed_after_each_step(tmp_path: Path, postgres: DatabaseAddress, whole: Place) -> None:
    """Run after run gets one step further, however each ends; what the last one leaves is whole."""
    with empty_place(tmp_path / "opt", postgres, "init_steps") as place:
        number = 1
        while (ended := killed_after_step(place.layout, place.plan, number)) == -9:
            number += 1

        assert ended == 0
        assert number > 12
        assert_same(place, whole)


def test_killed_before_each_write(tmp_path: Path, postgres: DatabaseAddress, whole: Place) -> None:
    """The same for changes of the file system."""
    with empty_place(tmp_path / "opt", postgres, "init_writes") as place:
        number = 1
        while (ended := killed_at_write(place.layout, place.plan, number)) == -9:
            number += STRIDE

        assert ended == 0
        assert number > 60
        assert_same(place, whole)


def test_run_twice_changes_nothing(whole: Place) -> None:
    """No file is written again, and no row is."""
    before = tree(whole.layout.root, times=True), rows(whole.address)
    pause()

    assert in_child(lambda: nodes.set_up(whole.layout, whole.plan, lambda _sentence: None)) == 0

    assert (tree(whole.layout.root, times=True), rows(whole.address)) == before


def test_what_an_administrator_wrote_stays(whole: Place) -> None:
    """A second run that says less changes no setting."""
    config = whole.layout.config_file
    written = config.read_text().replace("#parallelizm 8", "parallelizm 3")
    written = written.replace("who-is-primary-server localhost", "who-is-primary-server backup1,backup2:9000")
    config.write_text(written)

    assert in_child(lambda: nodes.set_up(whole.layout, nodes.Plan("primary-server"), lambda _sentence: None)) == 0

    assert config.read_text() == written


def test_no_password_is_made_beside_that_of_the_superuser(whole: Place, tmp_path: Path) -> None:
    """There is one already: another in the file of the first password would let nobody in."""
    told = tmp_path / "told"

    with told.open("w") as file:
        assert (
            in_child(
                lambda: nodes.set_up(
                    whole.layout, nodes.Plan("primary-server"), lambda text: print(text, file=file, flush=True)
                )
            )
            == 0
        )

    assert not (whole.layout.root / "keys/superuser-password").exists()
    assert "fingerprint" in told.read_text()
    assert "password lies in" not in told.read_text()


def test_modes_at_the_guides_paths(whole: Place) -> None:
    """The five keys and certificates of the guide are there, private ones for their owner alone."""
    keys = whole.layout.root / "keys"

    assert {name: (keys / name).stat().st_mode & 0o777 for name in KEY_PATHS} == KEY_PATHS
    for role in ("server", "client", "media", "api"):
        assert (keys / role).stat().st_mode & 0o777 == folders.PRIVATE


def test_remains_of_a_kill_are_removed(whole: Place) -> None:
    """A half-written key goes with the next run, once nobody can be at it; what looks otherwise stays."""
    keys = whole.layout.root / "keys/server"
    old, fresh, other = keys / ".serverKey.key.0123456789ab", keys / ".serverKey.key.ba9876543210", keys / ".notes"
    for path in (old, fresh, other):
        path.write_text("x")
    os.utime(old, (1, 1))

    assert in_child(lambda: nodes.set_up(whole.layout, whole.plan, lambda _sentence: None)) == 0

    assert [path.exists() for path in (old, fresh, other)] == [False, True, True]


def test_one_runs_at_a_time(whole: Place) -> None:
    """A second one says so and changes nothing."""
    lock = whole.layout.root / "var/run/rb_init.lock"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="Another rb_init is at work on this host"):
            nodes.set_up(whole.layout, whole.plan, lambda _sentence: None)


def test_an_autonomous_client_killed_before_each_write(tmp_path: Path) -> None:
    """It needs no database to be set up; ids, password and settings are those of one run however often it was killed."""
    wholes, chain = (Place(Layout(tmp_path / name / "opt"), alone(tmp_path / name), ABSENT) for name in ("one", "many"))
    assert in_child(lambda: nodes.set_up(wholes.layout, wholes.plan, lambda _sentence: None)) == 0
    number = 1
    while (ended := killed_at_write(chain.layout, chain.plan, number)) == -9:
        number += STRIDE

    assert ended == 0
    assert number > 40
    assert tree(tmp_path / "many") == tree(tmp_path / "one")


def alone(place: Path) -> Plan:
    """A plan for a host with everything below a folder."""
    return Plan("autonomous-client", alone=place / "disk", superuser_password="a-password-of-tests")
