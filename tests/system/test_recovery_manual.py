"""docs/disaster-recovery.md: what each section is about is lost first, then its commands are run as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rubackup.client.compare import compare_trees
from support.manual import RECOVERY, Block, blocks, parts, script, user_pages
from support.system import RUBACKUP, System, down, eventually, up

PAGE = "disaster-recovery"
BIN = Path(sys.executable).parent
TEXT = user_pages()[PAGE].read_text(encoding="utf-8")
HEADINGS = [
    (TEXT.count("\n", 0, found.start()) + 1, found[1]) for found in re.finditer(r"^## (.*)$", TEXT, re.MULTILINE)
]

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("bash", "jq")), reason="bash or jq is not installed"
)


def sections() -> dict[str, list[Block]]:
    """The page's blocks by heading; '' for those before the first."""
    found: dict[str, list[Block]] = {}
    for block in blocks([PAGE]):
        if block.where != RECOVERY:  # an installed host's, which the walk of the packages types
            continue
        name = next((name for line, name in reversed(HEADINGS) if line < block.line), "")
        found.setdefault(name, []).append(block)
    return found


@dataclass
class Office:
    """A system with a pool on a disk of its own, and the copies that are to be found again."""

    folder: Path
    system: System

    @property
    def state(self) -> Path:
        """Everything but the pool."""
        return self.folder / "state"

    @property
    def vault(self) -> Path:
        """The pool's folder."""
        return self.folder / "vault"

    def type(self, wanted: list[Block]) -> None:
        """Run blocks in one shell, after those that set variables; each must print what the page shows."""
        wanted = [*sections()[""], *wanted]
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.folder), "RUBACKUP_STATE": str(self.state),
            "SAFE": str(self.folder / "safe"), "PASSPHRASE": str(self.folder / "passphrase"), "POOL": str(self.vault),
            "TARGET": str(self.folder / "restored"), "MEMORY_STORAGES": "True", "RETENTION_SECONDS": "2",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", script(wanted)], capture_output=True, text=True, timeout=900, check=False, env=environment
        )
        printed = parts(done.stdout)
        for block, output in zip(wanted, printed, strict=False):
            assert not _differs(block, output), f"{block}\nprinted\n{output}\ninstead of\n{block.shown}\n{done.stderr}"
        assert (done.returncode, len(printed)) == (0, len(wanted) + 1), f"{printed[-1]}\n{done.stderr}"

    def again(self) -> System:
        """Log in to what runs now."""
        self.system.http.close()
        self.system = System(self.state, json.loads((self.state / "ready.json").read_text()))
        return self.system

    def lose(self) -> None:
        """The server's host: nothing is left but the pool's disk, and what is kept elsewhere."""
        down(self.state)
        shutil.rmtree(self.state)


def _differs(block: Block, printed: str) -> bool:
    """As the manual's reader has it; `…` at the end of a line stands for further lines, too."""
    if block.shown is None:
        return False
    pattern = re.escape(block.shown).replace("…\\\n", "(?s:.*)\n").replace("…", ".*")
    return not re.fullmatch(pattern, printed.lstrip("\n"))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Running, with a full and an incremental copy, an encrypted one, and one that was deleted."""
    folder = tmp_path_factory.mktemp("recovery")
    (folder / "safe").mkdir()
    found = Office(folder, up(folder / "state"))
    try:
        yield found
    finally:
        found.system.http.close()
        down(found.state)


@dataclass(frozen=True)
class Copies:
    """What was made before the losses: uuids, and the client's hardware id."""

    full: str
    partial: str
    """Locked; builds on `full`."""
    sealed: str
    """Encrypted."""
    hwid: str


def _made(office: Office, source: Path) -> Copies:
    """A full copy, an incremental one that is locked, one that is deleted, an encrypted one: in a pool on a disk of its own."""
    system = office.system
    pool = {"pool_name": "Vault", "pool_type": "File system", "media_server": system.media_server()}
    system.call("POST", "/pool_list", {"data": pool}, status=201)
    storage = {"path": str(office.vault), "pool": "Vault", "description": ""}
    system.call("POST", "/storage_local_catalogs", {"data": storage}, status=201)
    client = system.call("GET", "/clients")["data"]["items"][0]
    system.call("PATCH", f"/clients/{client['id']}", {"data": {"client_side_backup": True}})
    for number, backup_type in enumerate(("full", "incremental", "full")):
        (source / f"file{number}").write_text(backup_type)
        system.call("PATCH", "/global_configuration", {"data": {"immutable_archives": backup_type == "incremental"}})
        system.done(system.backup(source, backup_type=backup_type, pool="Vault"))
    sealed = _encrypted(system, source)
    full, partial, deleted, _ = system.records(source)
    eventually((office.vault / "manifests" / f"{partial['uuid'].replace('-', '')}.lock").exists, 30)
    _delete(system, deleted["id"])
    return Copies(full["uuid"], partial["uuid"], sealed["uuid"], client["hwid"])


def test_the_page_brings_everything_back(office: Office, tmp_path: Path) -> None:
    """From a backup with keys, from the pool alone, and from a damaged database: copies, locks, chains, and no deleted one."""
    shown = sections()
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(200_000))
    made = _made(office, source)
    shutil.copy(office.state / "keys/client/master-key", office.folder / "master-key")
    office.type(shown["What to keep"])
    assert _kept_in_a_pool(office, tmp_path / "kept")
    (source / "later").write_text("made after the backup")
    office.system.done(office.system.backup(source, pool="Vault"))
    later = office.system.records(source)[-1]["uuid"]

    office.lose()
    office.type(shown["The server is lost"])
    system = office.again()
    kept = {row["uuid"]: row for row in system.records(source)}
    assert set(kept) == {made.full, made.partial, made.sealed, later}
    assert system.call("GET", "/clients")["data"]["items"][0]["hwid"] == made.hwid
    assert system.gives_back(kept[later]["id"], source, tmp_path / "one")
    eventually(lambda: _pool(system)["reconciled"], 40)

    office.lose()
    office.type(shown["Only pools are left"])
    system = office.again()
    found = {row["uuid"]: row for row in system.records(source)}
    assert _told(found.values()) == _told(kept.values())
    assert (found[made.partial]["parent_id"], found[made.partial]["client_ref"]) == (found[made.full]["id"], None)
    system.call("DELETE", f"/repository/{found[made.partial]['id']}", status=409)
    assert compare_trees(source, office.folder / "restored" / str(source).lstrip("/")).equal
    shutil.copy(office.folder / "master-key", office.state / "keys/client/master-key")
    key = found[made.sealed]["key_id"]
    eventually(lambda: key in system.call("GET", "/clients")["data"]["items"][0]["key_ids"], 20)
    assert _gives(system, found[made.sealed]["id"], tmp_path / "two")
    system.done(system.backup(source, pool="Vault"))

    office.type(shown["What to keep"])
    office.type(shown["The service database is damaged"])
    assert set(found) < {row["uuid"] for row in office.again().records(source)}


def _kept_in_a_pool(office: Office, target: Path) -> bool:
    """Whether an ordinary backup of the folder with the files gives them back: the page's second way."""
    safe = office.folder / "safe"
    office.system.done(office.system.backup(safe))
    return office.system.gives_back(office.system.records(safe)[-1]["id"], safe, target)


def _told(rows: Iterable[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What a pool tells of its copies."""
    names = (
        "size_bytes", "stored_bytes", "files", "backup_type", "created_at", "parent_uuid", "locked_until", "key_id", "client_hwid",
    )  # fmt: skip
    return {row["uuid"]: tuple(row[name] for name in names) for row in rows}


def _gives(system: System, record: int, target: Path) -> bool:
    """Whether the copy can be restored by the client that is there; what it holds was compared before."""
    system.done(system.restore(record, target))
    return any(target.rglob("file"))


def _encrypted(system: System, source: Path) -> dict[str, Any]:
    """An encrypted copy, which a client's own tool asks for."""
    command = [
        *RUBACKUP, "client", "--state", str(system.state), "backup", str(source), "--pool", "Vault", "--crypto", "aes-256-gcm",
        "--wait",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    row: dict[str, Any] = system.records(source)[-1]
    return row


def _pool(system: System) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = (row for row in system.call("GET", "/pool_list")["data"]["items"] if row["pool_name"] == "Vault")
    return found


def _delete(system: System, record: int) -> None:
    """Delete a copy, and wait until its pool has forgotten it."""
    folder = system.state.parent / "vault" / "manifests"
    before = len(list(folder.rglob("*.tombstone")))
    system.call("DELETE", f"/repository/{record}")
    eventually(lambda: len(list(folder.rglob("*.tombstone"))) > before, 30)
