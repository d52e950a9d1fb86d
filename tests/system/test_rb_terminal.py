"""`rb` as somebody at a terminal has it: completion in three shells, questions, and a running system behind them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.cli.rb import shells
from support.system import System
from support.terminal import Terminal

BIN = Path(sys.executable).parent
NAME = "Группа с пробелом"
WICKED = "x'y \"$(touch taken)`touch taken`;touch taken"
LOADED = """
import sys
from rubackup.cli.rb.main import main
try:
    main()
finally:
    print(*{one.partition(".")[0] for one in sys.modules}, file=sys.stderr)
"""
"""Says at its end what was loaded."""
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='ready> '; eval \"$(rb completion bash)\"\r"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "unsetopt PROMPT_SP; PS1='ready> '; autoload -Uz compinit; compinit -u -D; eval \"$(rb completion zsh)\"\r",
    ),
    "fish": (["fish", "--no-config", "-i"], "rb completion fish | source; function fish_prompt; echo 'ready> '; end\r"),
}


@pytest.fixture(scope="module")
def home(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an administrator who has logged in, where two groups have names that a shell must quote."""
    folder = tmp_path_factory.mktemp("home")
    for name in (NAME, WICKED):
        system.call("POST", "/client_groups", {"data": {"name": name}}, status=201)
    subprocess.run(
        [BIN / "rb", "login", "--state", system.state], env=environment(folder), check=True, timeout=300, stdout=subprocess.DEVNULL
    )  # fmt: skip
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Nothing of this process' own but the path."""
    return {"HOME": str(folder), "PATH": f"{BIN}:{os.environ['PATH']}"}


@pytest.fixture
def shell(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A shell that has loaded the completion."""
    arguments, start = START[request.param]
    if shutil.which(arguments[0]) is None:
        pytest.skip(f"{arguments[0]} is not installed")
    with Terminal(arguments, env=environment(home), columns=200, cwd=tmp_path) as terminal:
        terminal.type(start)
        terminal.expect(r"(?s)completion.*ready> ", 60)
        yield terminal


@pytest.mark.parametrize("shell", list(START), indirect=True)
def test_a_shell_completes_what_there_is(shell: Terminal, tmp_path: Path) -> None:
    """Commands, options, values and names of rows; quoted so that the shell takes them for one word, whatever is in them."""
    complete(shell, [("rb_task_q", "ueue"), ("li", "st"), ("--so", "rt"), ("stat", "us"), ("--lim", "it")])
    assert enter(shell, " 3\r", "Task type")
    complete(shell, [("rb pools get Def", "ault")])
    assert enter(shell, "\r", r"pool_name +Default\n")
    for typed in ("Г", '"Г'):
        complete(shell, [(f"rb client_group get {typed}", "пробелом")])
        assert enter(shell, "\r", rf"name +{NAME}\n")
    complete(shell, [("rb client_group get x", "taken")])
    assert WICKED in enter(shell, "\r", r"name +(x.*)\n")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "root.crt").touch()
    complete(shell, [("rb login --ca root", ".crt")])
    assert enter(
        shell, " https://localhost:1 -u a --password-file none\r", "root.crt is no file with a root certificate"
    )


def complete(shell: Terminal, parts: list[tuple[str, str]]) -> None:
    """Type each part and the tabulator, and wait until the rest of it is there: keys that wait would change what it does."""
    for typed, rest in parts:
        shell.type(f"{typed}\t")
        shell.expect(rest, 60)


def enter(shell: Terminal, text: str, pattern: str) -> str:
    """End the line; what matches in its output, before the next prompt."""
    shell.type(text)
    found = shell.expect(pattern, 60)[0]
    shell.expect("ready> ", 60)
    return found


def test_completion_loads_little(home: Path) -> None:
    """Names of the API are there, without any library that takes long to load: with them half a second would be too short."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "pools", "get", "D"], env={**environment(home), shells.VARIABLE: "fish"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    loaded = set(done.stderr.split())

    assert done.stdout == "Default\n"
    assert loaded >= {"rubackup", "typer"}
    assert loaded & {"alembic", "asyncpg", "cryptography", "httpx", "lmdb", "rich", "sqlalchemy"} == set()


def test_who_is_not_logged_in_is_not_bothered(tmp_path: Path) -> None:
    """While a line is being typed there is nowhere to tell it."""
    done = subprocess.run(
        [BIN / "rb", "pools", "get", "D"], env={**environment(tmp_path), shells.VARIABLE: "fish"}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("", "")


def test_a_login_asks_for_what_it_does_not_know(system: System, tmp_path: Path) -> None:
    """Address, root certificate, user, and the password, which is not shown."""
    password = Path(system.facts["password_file"]).read_text().strip()
    with Terminal([BIN / "rb", "login"], env=environment(tmp_path)) as terminal:
        for question, answer in (
            ("Address of the API", system.facts["api"]), ("Root certificate", system.facts["ca_file"]), ("User", "rubackup"),
            ("Password of rubackup", password),
        ):  # fmt: skip
            terminal.expect(rf"{question}[^\n]*: $")
            terminal.type(f"{answer}\r")
        terminal.expect("superuser")
        assert terminal.status() == 0

    assert password not in terminal.shown
    with Terminal([BIN / "rb", "login"], env=environment(tmp_path)) as terminal:  # now it knows all but the password
        terminal.expect("Password of rubackup: ")
        assert terminal.interrupt() == 130


def test_a_new_password_is_asked_for_twice(system: System, home: Path) -> None:
    """And not sent when the answers differ."""
    with Terminal([BIN / "rb", "users", "change_password"], env=environment(home)) as terminal:
        terminal.expect("assword.*: $")
        terminal.type("One-password-1\r")
        terminal.expect("Repeat.*: $")
        terminal.type("Another-password-1\r")
        terminal.expect("(?i)do not match(?s:.*): $")
        assert terminal.interrupt() == 130

    assert "ne-password-1" not in terminal.shown


@pytest.mark.parametrize(("answer", "status"), [("n\r", 1), ("\x03", 130), ("y\r", 0)])
def test_a_deletion_is_confirmed(system: System, home: Path, answer: str, status: int) -> None:
    """By a plain yes; anything else deletes nothing."""
    name = f"to be deleted {status}"
    system.call("POST", "/client_groups", {"data": {"name": name}}, status=201)

    with Terminal([BIN / "rb", "client_group", "delete", name], env=environment(home)) as terminal:
        terminal.expect(rf"Delete {name} of client_groups\? \[y/N\]: ")
        if answer == "\x03":
            assert terminal.interrupt() == status
        else:
            terminal.type(answer)
            assert terminal.status() == status

    left = system.call("GET", "/client_groups", filter_data=f'name="{name}"')["data"]["total"]
    assert left == (0 if status == 0 else 1)


def test_a_client_shows_how_far_its_own_task_is(system: System, tmp_path: Path) -> None:
    """Whoever backs up by the client's tools sees as much as an administrator."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "one").write_bytes(os.urandom(1_000_000))
    system.done(system.backup(tmp_path / "documents"))  # without a copy in the pool its tools may not use it
    arguments = ["client", "--state", system.state, "backup", tmp_path / "documents", "--pool", "Default", "--wait"]

    with Terminal([BIN / "rubackup", *arguments], env=environment(tmp_path)) as terminal:
        terminal.expect(r"Backup \d+ Done")
        terminal.expect(r"100 % +976\.6 KiB of 976\.6 KiB")
        terminal.expect(r"Task \d+: Done")
        assert terminal.status() == 0
