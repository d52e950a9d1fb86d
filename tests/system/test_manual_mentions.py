"""Commands that the manual names within its sentences and only look are run, against a running system."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubackup.cli.main import app
from rubackup.cli.rb import access
from rubackup.cli.rb.status import MISSING
from rubackup.roles.process import database_address
from rubackup.roles.settings import Settings
from rubackup.roles.up.catalogue import connected
from support import commands
from support.manual import user_pages
from support.rb import rb
from support.spans import spans
from support.system import System, running

NAMED = sorted({span.text.replace(".venv/bin/", "") for page in user_pages() for span in spans(f"{page}.md")})
PARTS = "rb --profile office login …", "rb completion fish | source", "rb log_viewer"
"""Not whole, or with another program behind it."""
CHANGE = {
    "acknowledgement", "authorize", "backup", "call", "change_password", "copy2pool", "create", "delete", "events", "login", "logout", "move", "patch", "restore",
    "restoring", "verify",
}  # fmt: skip
"""Commands that change something, log in, or do not end by themselves: their examples are run in blocks."""
NEED_A_ROW = {"rb log_viewer client", "rb log_viewer media_server", "rb task_queue log"}
"""Commands that say of something what it went through."""
OWN = ("copies", "rules", "status", "tasks", "key show")
"""Commands of a client's own user that only look."""


def verb(line: str) -> str:
    """The last sub-command of a line; that of a family alone is none."""
    words = line.split()
    path = [
        word for word in words[1:] if f"{words[0]} {' '.join(words[1 : words.index(word) + 1])}" in commands.commands()
    ]
    return path[-1] if path else ""


LOOKS = [line for line in NAMED if re.match(r"rb[ ]", line) and line not in PARTS and verb(line) not in CHANGE]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One of its own: pools that other tests leave behind are rightly told by `reconcile`, and further hosts of this machine have its name."""
    with running(tmp_path_factory.mktemp("mentions") / "state") as system:
        yield system


@pytest.fixture
def logged_in(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """The superuser has logged in."""
    monkeypatch.setenv(access.PROFILE, "default")
    for name in (access.API, access.CA, access.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    assert rb("login", "--state", str(system.state))[0] == 0
    return system


def test_commands_that_only_look_are_carried_out(logged_in: System) -> None:
    """Each with its options ends well; families are listed, simulations told, nothing is changed."""
    host = logged_in.facts["client"].split(" ")[0]  # of both, as all runs on one machine
    task = str(json.loads(rb("backup", "/no/such/folder", "--client", host, "--json")[1])["tasks"][0])
    row = {"rb log_viewer client": host, "rb log_viewer media_server": host, "rb task_queue log": task}
    assert row.keys() == NEED_A_ROW <= set(LOOKS)
    ended = {line: rb(*shlex.split(line)[1:], *([row[line]] if line in row else [])) for line in LOOKS}

    assert len(ended) > 30
    assert {line: told for line, told in ended.items() if told[0] != 0} == {}


def test_commands_that_change_reach_their_rows(logged_in: System, tmp_path: Path) -> None:
    """With the options that the manual names; there are no such rows, so nothing is changed: the API says that, and not that it knows no such field."""
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    fingerprint = "0" * 64
    ended = {
        line: rb(*shlex.split(line)[1:])
        for line in (
            f"rb clients authorize --clients-ids 999999 --replace-key yes --fingerprint {fingerprint}",
            f"rb media_servers authorize --hostname no-such-host --replace-key yes --fingerprint {fingerprint}",
            "rb clients delete no-such-host --yes",
            "rb clients patch no-such-host --client-side-restore no --centralized-restore no",
            f"rb clouds patch 999999 --secret-key-file {secret}",
            "rb repository move 999999 Default",
            "rb repository restoring 999999 --target-client 1 --data-deployment yes --overwrite never",
        )
    }

    assert {line: told for line, told in ended.items() if told[0] != MISSING} == {}


def test_commands_that_change_are_carried_out(logged_in: System) -> None:
    """What can be taken back; and what is refused where all is well, with the reason."""
    host = logged_in.facts["client"].split(" ")[0]
    for word in ("no", "yes"):
        told = rb("clients", "patch", host, "--client-side-restore", word, "--centralized-restore", word)
        assert told[0] == 0, told

    assert rb("retention", "acknowledgement", "--clock-is-right", "yes")[2] == "rb: Retention is not suspended.\n"


def test_tools_of_a_clients_user_are_carried_out(logged_in: System) -> None:
    """As root or the user of the client's process, without a login."""
    assert [line for line in OWN if not any(re.search(rf"\b{line}\b", named) for named in NAMED)] == []

    host = logged_in.facts["client"].split(" ")[0]
    assert rb("clients", "patch", host, "--lrl-flag", "yes")[0] == 0  # else a client's tools see no rules
    ended = {line: CliRunner().invoke(app, ["client", "--state", str(logged_in.state), *line.split()]) for line in OWN}
    assert rb("clients", "patch", host, "--lrl-flag", "no")[0] == 0

    assert {line: done.output for line, done in ended.items() if done.exit_code} == {}


def test_queries_are_carried_out(system: System) -> None:
    """As the manual has them; what they name is there."""
    queries = [line for line in NAMED if line.startswith("SELECT ")]
    address = database_address(Settings.load(system.state / "etc/server.env", {}))

    async def asked() -> list[int]:
        async with connected(address) as connection:
            return [len(await connection.fetch(query)) for query in queries]

    assert [number > 0 for number in asyncio.run(asked())] == [True]


def test_the_look_at_the_api_is_carried_out(system: System) -> None:
    """As troubleshooting has it."""
    line = next(named for named in NAMED if named.startswith("curl --cacert"))
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    typed = line.replace("CA ", f"{system.facts['ca_file']} ").replace("https://HOST:5656", system.facts["api"])

    done = subprocess.run(shlex.split(typed), capture_output=True, text=True, check=False, timeout=300)

    assert (done.returncode, '"ok"' in done.stdout) == (0, True), done
