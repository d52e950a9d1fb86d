"""The state folder: its version, its lock, its refusals; each refusal is one sentence."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from rubackup.domain.errors import RubackupError
from rubackup.roles.up import background
from rubackup.roles.up.certificates import hwid, make_certificates
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.main import checked
from rubackup.roles.up.settings import choose_ports
from rubackup.roles.up.state import State, holder, locked, runtime_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")


@pytest.fixture
def state(tmp_path: Path) -> State:
    """An empty state."""
    state = State(tmp_path / "state")
    state.make()
    return state


def test_a_state_and_everything_in_it_is_private(state: State):
    """Nobody else reads passwords and keys."""
    state.keep_secret("superuser-password")
    make_certificates(state, ["localhost"])

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (state.root, *state.root.rglob("*"))}

    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


def test_secrets_and_hardware_ids_are_kept(state: State):
    """A second start finds what the first made."""
    made = [state.keep_secret("superuser-password"), hwid(state, "client"), hwid(state, "media")]

    again = State(state.root)

    assert made == [again.keep_secret("superuser-password"), hwid(again, "client"), hwid(again, "media")]
    assert [len(text) for text in made] == [32, 16, 64]


def test_the_root_stays_and_leaves_are_new(state: State):
    """Hosts go on trusting the same root; what serves here never expires between starts."""
    make_certificates(state, ["localhost"])
    root, leaf = state.root_certificate.read_bytes(), (state.root / "keys/api/apiCert.crt").read_bytes()

    make_certificates(state, ["localhost"])

    assert state.root_certificate.read_bytes() == root
    assert (state.root / "keys/api/apiCert.crt").read_bytes() != leaf


def test_a_certificate_that_a_crash_kept_from_being_written_is_made_with_its_key(state: State):
    """A key without its certificate is not half an authority."""
    (state.root / "keys/rootCA/serverRootCAKey.key").write_text("half")

    make_certificates(state, ["localhost"])
    make_certificates(state, ["localhost"])

    assert b"BEGIN PRIVATE KEY" in (state.root / "keys/rootCA/serverRootCAKey.key").read_bytes()


def test_a_state_of_a_newer_version_is_refused(state: State):
    """An older program does not touch what it does not understand."""
    (state.root / "version").write_text("2\n")

    with pytest.raises(StartupFault, match=r"made by a newer version \(state version 2, known 1\)"):
        state.make()


def test_a_folder_with_files_of_something_else_is_refused(tmp_path: Path):
    """A slip in --state does not scatter files over a home folder."""
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(StartupFault, match="holds files of something else"):
        State(tmp_path).make()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path):
    """The sentence names the path."""
    (tmp_path / "state").touch()

    with pytest.raises(StartupFault, match=f"^Cannot use {tmp_path}/state as state: "):
        State(tmp_path / "state").make()


def test_a_path_that_cannot_stand_in_a_settings_file_is_refused(tmp_path: Path):
    """A line break in a path would become a setting of its own."""
    with pytest.raises(StartupFault, match="UTF-8 without line breaks"):
        checked(tmp_path / "a\nDB_HOST=evil")


def test_one_supervisor_at_a_time(state: State):
    """The second is told who is there."""
    with locked(state):
        assert holder(state) == os.getpid()
        with pytest.raises(StartupFault, match=f"already running \\(process {os.getpid()}\\)"), locked(state):
            pass

    assert holder(state) is None


def test_sockets_lie_in_a_short_folder_whatever_the_state(tmp_path: Path):
    """107 bytes is the longest path of a socket."""
    state = State(tmp_path / ("x" * 150))

    with runtime_folder(state) as folder:
        assert len(str(folder / "pg" / ".s.PGSQL.65535")) < 108
        assert folder.stat().st_uid == os.geteuid()

    assert not folder.exists()


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path):
    """In a folder that everybody writes to, a name may be somebody's trap."""
    state = State(tmp_path / "state")
    with runtime_folder(state) as folder:
        pass
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(StartupFault, match="belongs to somebody else"), runtime_folder(state):
            pass
    finally:
        folder.unlink(missing_ok=True)


def test_a_port_in_use_is_named(state: State):
    """The sentence names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupFault, match=f"^Port {port} is in use.$"):
            choose_ports(state, port)


def test_ports_of_the_last_start_are_taken_again(state: State):
    """A bookmark of yesterday still works."""
    first = choose_ports(state, 0)
    state.settings("api").write_text(f"APP_PORT={first.api}\n")

    assert choose_ports(state, 0).api == first.api
    assert len({first.api, first.server, first.media}) == 3


@pytest.mark.parametrize("break_it", ["newer", "in the way", "port"])
def test_a_start_that_fails_leaves_nothing_running_and_says_why(state: State, break_it: str):
    """The background start reports the sentence of the supervisor."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if break_it == "newer":
            (state.root / "version").write_text("99\n")
        if break_it == "in the way":
            (state.root / "log").rmdir()
            (state.root / "log").touch()
        port = taken.getsockname()[1] if break_it == "port" else 0
        sentence = {"newer": "newer version", "in the way": "something else is in the way", "port": "is in use"}[
            break_it
        ]

        with pytest.raises(StartupFault, match=sentence):
            background.start(state.root, port=port)

    assert holder(state) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_missing_permission_is_said(tmp_path: Path):
    """A folder that the caller cannot write to is named."""
    tmp_path.chmod(0o500)

    with pytest.raises(StartupFault, match="permission is missing"):
        background.start(tmp_path / "state", port=0)


@as_root
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The start on a disk without room ends with a sentence and leaves nothing running."""
    monkeypatch.setenv("MEMORY_STORAGES", "True")
    root = tmp_path / "small"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(RubackupError, match=r"No space left on device|disk is full"):
            background.start(root / "state", port=0)

        assert holder(State(root / "state")) is None
    finally:
        subprocess.run(["umount", root], check=True)


@as_root
def test_a_state_that_would_lose_its_copies_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, behind a link, or in a folder of the system: a sentence of the state, and nothing is there."""
    monkeypatch.delenv("MEMORY_STORAGES", raising=False)
    memory = tmp_path / "memory"
    memory.mkdir()
    (tmp_path / "link").symlink_to(memory)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", memory], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        for root in (memory / "state", tmp_path / "link/a/state"):
            with pytest.raises(StartupFault) as caught:
                background.start(root, port=0)
            assert caught.value.message.startswith(f"The state {root} is to hold copies, and cannot: {memory}/")
            assert f" lies in {memory}, a file system of the type tmpfs" in caught.value.message
            assert "data.path" not in caught.value.message
        assert list(memory.iterdir()) == []
    finally:
        subprocess.run(["umount", memory], check=True)
    with pytest.raises(StartupFault, match="a folder of the machine's system"):
        background.start(Path("/usr/rubackup-state"), port=0)
    assert not Path("/usr/rubackup-state").exists()


def test_nothing_is_stopped_where_nothing_runs(state: State, tmp_path: Path):
    """Stopping may be repeated, on a folder that never was a state too."""
    assert background.shut_down(state.root) is False
    assert background.shut_down(tmp_path / "nowhere") is False
