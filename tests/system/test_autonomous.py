"""An autonomous client: one service on one host, everything in one folder, which another host can go on with."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from rubackup.roles.installed.layout import Layout
from rubackup.roles.up.ports import free_ports
from support.installed import Installation

CIPHER = "aes-256-gcm"


@dataclass
class Host:
    """One host with the folder of `-a`."""

    installation: Installation
    folder: Path

    def client(self, *arguments: str) -> str:
        """What a tool of the client says."""
        return self.installation.run("rubackup", "client", *arguments)

    def rb(self, *arguments: str) -> str:
        """What `rb` says, which knows of no login but this host's."""
        return self.installation.run("rb", *arguments, XDG_CONFIG_HOME=str(self.installation.layout.root / "rb"))


def host(root: Path, folder: Path) -> Host:
    """Set up and started."""
    installation = Installation.lay(root)
    installation.run("rb_init", "-y", "-n", "autonomous-client", "-a", str(folder))
    config = installation.layout.config_file
    config.write_text(config.read_text().replace("#api-port 5656", f"api-port {free_ports(1)[0]}"))
    installation.start("alone")
    return Host(installation, folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The first host."""
    place = tmp_path_factory.mktemp("alone")
    found = host(place / "opt", place / "disk")
    try:
        yield found
    finally:
        found.installation.stop_all()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is backed up: the documentation, a link and an empty folder."""
    folder = tmp_path_factory.mktemp("source") / "data"
    shutil.copytree(Path(__file__).parents[2] / "docs", folder)
    (folder / "link").symlink_to("api.md")
    (folder / "empty").mkdir()
    return folder


def copies(at: Host) -> list[int]:
    """Ids of the copies, the oldest first."""
    return sorted(copy["id"] for copy in json.loads(at.client("copies", "--json"))["copies"])


def test_a_user_of_the_host_needs_no_login(alone: Host, source: Path, tmp_path: Path) -> None:
    """Backup, list and restore by the client's own tools, byte for byte."""
    assert "Done" in alone.client("backup", str(source), "--wait")

    assert "Done" in alone.client("restore", str(copies(alone)[-1]), "--to", str(tmp_path / "back"), "--wait")
    assert compare_trees(source, tmp_path / "back" / source.relative_to("/")).differences == []


def test_the_api_is_found_without_being_told(alone: Host) -> None:
    """`rb login` takes address, certificate and password from the folder; a new password is taken over there."""
    alone.rb("login")
    assert "Default" in alone.rb("pools", "list")
    password = alone.installation.layout.root / "new-password"
    password.write_text("another-password")

    alone.installation.run("rb_init", "--passwd", "-Y", str(password))

    alone.installation.run("rb", "pools", "list", XDG_CONFIG_HOME=str(alone.installation.layout.root / "rb"), status=5)
    alone.rb("login")
    assert "Default" in alone.rb("pools", "list")


def test_it_listens_on_loopback_alone(alone: Host) -> None:
    """No port of any of its processes is open to others; PostgreSQL is one of them where systemd runs none beside."""
    api = json.loads((alone.folder / "ready.json").read_text())
    listening = 0
    for process in api["processes"].values():
        for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
            inodes = {
                entry.readlink().name.removeprefix("socket:[").removesuffix("]")
                for entry in Path(f"/proc/{process}/fd").iterdir()
            }
            for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    assert fields[1].startswith(loopback), line
                    listening += 1
    assert listening >= 4, "PostgreSQL, API, server and media server have a port each"


def test_the_hardware_id_is_the_clients(alone: Host) -> None:
    """In the third line, where scripts look for it."""
    said = alone.installation.run("rubackup_client", "hwid").splitlines()

    assert said[2] == (alone.folder / "keys/client/hwid").read_text().strip()


def test_it_is_nothing_else(alone: Host) -> None:
    """Other programs and other nodes are refused, with what to do; a second start, too."""
    installation = alone.installation

    assert "runs no client process of its own" in installation.run("rubackup_client", "--start", status=78)
    said = installation.run("rb_init", "-n", "client", "-c", "backup.example", "--fingerprint", "0" * 64, status=1)
    assert f"rubackup up --state {alone.folder}" in said
    assert "is already running" in installation.run("rubackup_alone", "--start", status=1)
    assert "Nothing is wrong." in installation.run("rubackup", "config", "check")


def test_a_lost_catalogue_is_begun_anew_and_filled_from_the_pool(alone: Host, source: Path, tmp_path: Path) -> None:
    """Only when somebody says so, and only where it is lost; the copies are listed and restored as before."""
    installation, data = alone.installation, alone.folder / "postgres/data"
    before = len(copies(alone))
    assert before
    assert "stop it first" in installation.run("rubackup_alone", "--new-catalogue", status=1)
    installation.run("rubackup_alone", "--stop")
    assert installation.running.pop("alone").wait(120) == 0
    assert f"has a catalogue. If it is to go: mv {data}" in installation.run(
        "rubackup_alone", "--new-catalogue", status=1
    )
    data.rename(tmp_path / "lost")
    assert "`rubackup_alone --new-catalogue`" in installation.run("rubackup_alone", "--start", status=1)

    assert str(alone.folder) in installation.run("rubackup_alone", "--new-catalogue")
    installation.start("alone")

    assert copies(alone) == []
    assert f"Default: {before} copies adopted" in installation.run("rubackup", "rebuild-catalogue")
    assert len(copies(alone)) == before
    alone.client("restore", str(copies(alone)[0]), "--to", str(tmp_path / "back"), "--wait")
    assert compare_trees(source, tmp_path / "back" / source.relative_to("/")).differences == []


def test_another_host_goes_on_with_the_folder(alone: Host, source: Path, tmp_path: Path) -> None:
    """The first host dies without a word; the second has disk and key, mounted elsewhere, and restores encrypted copies, too."""
    alone.client("backup", str(source), "--crypto", CIPHER, "--wait")
    first = alone.installation
    assert first.layout.master_key.stat().st_mode & 0o777 == 0o600
    assert not list(alone.folder.rglob("master-key")), "the key would lie beside the copies"
    before = copies(alone)
    process = first.running.pop("alone")
    process.send_signal(signal.SIGKILL)
    process.wait()

    second = Layout(tmp_path / "opt")
    second.master_key.parent.mkdir(parents=True)
    shutil.copy(first.layout.master_key, second.master_key)
    moved = alone.folder.rename(alone.folder.with_name("of another"))
    other = host(second.root, moved)
    try:
        assert copies(other) == before
        for number in before:
            target = tmp_path / f"back-{number}"
            assert "Done" in other.client("restore", str(number), "--to", str(target), "--wait")
            assert compare_trees(source, target / source.relative_to("/")).differences == []
        assert "was stopped" in other.installation.run("rubackup_alone", "--stop")
        assert other.installation.running.pop("alone").wait(120) == 0
    finally:
        other.installation.stop_all()
