"""The command `rb` against a running system: every family, progress on a terminal, and what goes wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rubackup.cli.rb import access, generic, shells
from rubackup.sdk import Client
from rubackup.sdk.operations import families
from support.rb import rb
from support.system import System

LISTED = [name for name, facts in families().items() if any(one["verb"] == "list" for one in facts["operations"])]


@pytest.fixture
def logged_in(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """The superuser has logged in by `rb login --state`."""
    monkeypatch.setenv(access.PROFILE, "default")  # an option of `rb` sets it, too
    for name in (access.API, access.CA, access.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    status, _, said = rb("login", "--state", str(system.state))
    assert (status, said) == (0, "")
    return system


def test_every_family_is_listed(logged_in: System) -> None:
    """As JSON and as a table; a row that there is can be fetched by its id."""
    for family in LISTED:
        status, text, said = rb(family, "list", "--limit", "2", "--json")
        assert (status, said if "of" not in said else "") == (0, ""), family
        found = json.loads(text)
        assert rb(family, "list", "--limit", "2")[0] == 0, family
        if found and any(one["verb"] == "read" for one in families()[family]["operations"]):
            assert json.loads(rb(family, "get", str(found[0]["id"]), "--json")[1])["id"] == found[0]["id"]

    assert len(LISTED) > 55


def test_other_lists_are_listed(logged_in: System) -> None:
    """In numbered pages, or of one row of a family; none asks the API for what its call does not take."""
    for line in (
        "global_schedule calendar --all",
        "clients resource_type vm",
        "clients resource_type vm --json",
        "cloud_task_queue",
    ):
        status, text, said = rb(
            *line.replace(" vm", "").split(), *([logged_in.facts["client"]] if " vm" in line else [])
        )
        assert (status, said) == (0, ""), line
        assert text


def test_of_several_tasks_each_is_asked_by_itself(logged_in: System) -> None:
    """One that there is not keeps nobody from the others; what came of each is told."""
    single, several = rb("task_queue", "kill", "999998"), rb("task_queue", "kill", "999998", "999999", "--json")

    assert (single[0], single[2]) == (7, "rb: No such task in the queue: 999998.\n")
    assert several[0] == 7
    assert [(one["task"], one["done"]) for one in json.loads(several[1])] == [(999998, False), (999999, False)]


def test_a_session_is_renewed_at_the_api(logged_in: System) -> None:
    """The new tokens are kept, and the old refresh token is not needed any more."""
    store = access.session_store()
    before = store.load()
    assert before is not None
    with Client.from_store(store) as client:
        after = client._renewed(before)

    assert after.access_token != before.access_token
    assert store.load() == after
    assert rb("whoami")[0] == 0


def test_a_terminal_shows_a_bar(logged_in: System, tmp_path: Path) -> None:
    """Done with its percents, on stderr, so that the output can go elsewhere."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "one").write_bytes(os.urandom(2_000_000))
    terminal, end = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(terminal, 65536):
                seen.append(piece)
        except OSError:  # the other end was closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [sys.executable, "-m", "rubackup.cli.rb", "backup", str(folder), "-c", logged_in.facts["client"], "--wait"],
        stdout=subprocess.PIPE, stderr=end, text=True, timeout=300, check=False,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(end)
    reader.join(timeout=120)
    os.close(terminal)

    drawn = b"".join(seen).decode()
    assert done.returncode == 0, drawn
    assert re.search(r"Backup \d+ Done", drawn)
    assert "100 %" in drawn
    assert re.fullmatch(r"task \d+  Backup  Done  1 files, 1\.9 MiB  copy \d+\n", done.stdout)


def test_a_shell_completes_names_that_there_are(logged_in: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the API."""
    monkeypatch.setenv(shells.VARIABLE, "bash")
    monkeypatch.setenv(shells.LINE, "rb pools get D")

    assert rb()[1].split() == ["Default"]


def test_a_wrong_password_asks_to_log_in(logged_in: System, tmp_path: Path) -> None:
    """The session that there was stays."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("wrong\n")

    status, _, said = rb("login", "--password-file", str(file), "--user", "nobody-of-rb")

    assert (status, "wrong" in said) == (5, False)
    assert rb("whoami")[0] == 0


def test_a_password_that_others_can_read_is_refused(logged_in: System, tmp_path: Path) -> None:
    """Nothing is sent."""
    file = tmp_path / "password"
    file.write_text("open\n")
    file.chmod(0o644)

    assert rb("login", "--password-file", str(file))[0] == 2


def test_a_role_that_may_not_is_told_apart(logged_in: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a token of an auditor, who sees everything and changes nothing."""
    token = json.loads(rb("tokens", "create", "--name", "rb-auditor", "--roles", "auditor", "--json")[1])["token"]
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(token)
    monkeypatch.setenv(access.TOKEN_FILE, str(file))

    assert rb("pools")[0] == 0
    assert rb("client_group", "create", "--name", "rb-never")[0] == 6


def test_nobody_there_and_nobody_trusted_are_no_answer(logged_in: System, tmp_path: Path) -> None:
    """Exit status 3, before a password is sent."""
    password = logged_in.facts["password_file"]
    ca = logged_in.facts["ca_file"]

    silent = rb("login", "https://localhost:1", "-u", "a", "--ca", ca, "--password-file", password)
    strange = rb("--profile", "other", "login", logged_in.facts["api"], "-u", "a", "--password-file", password)

    assert (silent[0], strange[0]) == (3, 3)
    assert "certificate verify failed" in strange[2]


def back_up(system: System, folder: Path, *options: str) -> int:
    """The copy that a backup made."""
    status, text, said = rb("backup", str(folder), "-c", system.facts["client"], *options, "--wait", "--json")
    assert status == 0, said
    return int(json.loads(text)["record"])


def test_what_goes_with_a_deleted_copy_is_told(
    logged_in: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, where it is asked, and after; archives stay."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "one").write_text("one")
    full = back_up(logged_in, folder)
    first = back_up(logged_in, folder, "-t", "incremental")
    archive = back_up(logged_in, folder, "-t", "incremental", "--archive")
    asked: list[str] = []
    monkeypatch.setattr(generic.typer, "confirm", lambda question, **_: asked.append(question))
    monkeypatch.setattr(generic.typer, "get_text_stream", lambda _: SimpleNamespace(isatty=lambda: True))

    assert rb("repository", "delete", str(full))[0] == 1
    rb("global_config", "patch", "--repository-remove-chain", "no")
    assert rb("repository", "delete", str(full))[0] == 1
    rb("global_config", "patch", "--repository-remove-chain", "yes")
    assert rb("repository", "delete", str(first))[0] == 1

    assert asked == [
        f"Delete copy {full}? What builds on it goes, too (repository_remove_chain): copy {first}.",
        f"Delete copy {full}? What builds on it stays, and restores by itself: copy {first}.",
        f"Delete copy {first}?",
    ]
    status, text, said = rb("repository", "delete", str(full), "--yes")
    assert (status, said) == (0, "")
    assert text.splitlines()[1:] == [f"With it went what builds on it: copy {first}."]
    assert rb("repository", "get", str(first))[0] == 7
    assert rb("repository", "get", str(archive))[0] == 0
    told = json.loads(rb("repository", "delete", str(archive), "--yes", "--json")[1])
    assert (told["deleted"], told["with_them"]) == ([archive], [])
    assert "repository_remove_chain" in rb("repository", "delete", "--help")[1]


def test_names_that_are_no_text_can_be_given_as_they_are_and_as_they_are_shown(
    logged_in: System, tmp_path: Path
) -> None:
    """Bytes that are not UTF-8, line ends, and blanks that nobody sees."""
    folder = tmp_path / "documents"
    folder.mkdir()
    names = [b"bad\xff\xfe", b"nl\nname", "nb\u00a0sp".encode(), b"back\\x41slash"]
    twins = [b"nl\\x0aname", b"bad\\xff\\xfe"]
    for name in names + twins:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    copy = str(back_up(logged_in, folder))
    listed = rb("repository", "files", copy, str(folder))[1].splitlines()[1:]
    shown = [line[line.index(str(folder)) :].rstrip() for line in listed]

    assert sorted(Path(name).name for name in shown) == [
        "back\\x5cx41slash",
        "bad\\x5cxff\\x5cxfe",
        "bad\\xff\\xfe",
        "nb\\xc2\\xa0sp",
        "nl\\x0aname",
        "nl\\x5cx0aname",
    ]
    given = [f"{folder}/{os.fsdecode(name)}" for name in names]
    for number, path in enumerate([*shown, *given]):
        target = tmp_path / f"fetched{number}"
        assert rb("repository", "download", copy, path, "--to", str(target))[::2] == (0, ""), path
    assert sorted(file.read_bytes() for file in tmp_path.glob("fetched*")) == sorted(names * 2 + twins)
    for number, paths in enumerate([shown[1:], given[1:]]):
        restored = tmp_path / f"restored{number}"
        wanted = [word for path in paths for word in ("--file", path)]
        assert rb("restore", copy, "--to", str(restored), *wanted, "--wait")[0] == 0
        found = list(Path(f"{restored}{folder}").iterdir())
        assert [file.read_bytes() for file in found] == [os.fsencode(file.name) for file in found]
        assert len(found) == len(paths)
    for line in (
        ["clients", "list", "--filter", 'hostname="\udcff"'], ["backup", "/bad\udcff", "-c", "x"], ["repository", "get", "\udcff"],
        ["restore", copy, "--to", "/bad\udcff"], ["call", "GET", "/pools list"], ["client_group", "create", "--name", "\udcff"],
    ):  # fmt: skip
        status, text, said = rb(*line)
        assert (status, text) == (2, ""), line
        assert "UTF-8" in said or "no path" in said


def test_a_sparse_file_is_fetched_with_its_holes(logged_in: System, tmp_path: Path) -> None:
    """Byte for byte, and with as little room; a range over the API begins and ends anywhere."""
    source = tmp_path / "images"
    source.mkdir()
    with (source / "disk").open("wb") as file:
        for at, data in ((0, b"head"), (20_000_000, os.urandom(300_000)), (60_000_001, b"tail")):
            file.seek(at)
            file.write(data)
        file.truncate(100_000_000)
    copy = str(back_up(logged_in, source))
    assert rb("repository", "download", copy, f"{source}/disk", "--to", str(tmp_path / "got"))[0] == 0
    content = (source / "disk").read_bytes()

    assert (tmp_path / "got").read_bytes() == content
    assert (tmp_path / "got").stat().st_blocks <= (source / "disk").stat().st_blocks + 2048
    for begin, end in ((19_999_999, 20_000_001), (4, 60_000_002), (60_000_005, 100_000_000)):
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        answer = logged_in.http.get(f"/repository/{copy}/file", params={"path": f"{source}/disk"}, headers=headers)
        assert (answer.status_code, answer.content == content[begin:end]) == (206, True)


def test_a_wrong_field_is_told_by_its_option(logged_in: System) -> None:
    """And by its name in the API, for who sends a file."""
    refused = rb("pools", "create", "--pool-type", "nothing")[2]
    assert "\n  --pool-name (data.pool_name): " in refused
    assert "\n  --media-server (data.media_server): " in refused
    refused = rb("backup", "relative", "-c", logged_in.facts["client"], "-t", "sometimes", "--pool", "none")[2]
    assert (
        {"RESOURCE", "--type", "--pool"} >= set(re.findall(r"^  (\S+) \(data\.task\.", refused, re.MULTILINE)) != set()
    )
    assert "  --filter (filter_data" in rb("pools", "list", "--filter", 'nothing="x"')[2]
    errors = json.loads(rb("pools", "create", "--json")[2])["errors"]
    assert "data.pool_name" in errors


def test_a_rule_without_an_hour_runs_at_midnight(logged_in: System, tmp_path: Path) -> None:
    """As the help says; and what is created by an option is changed by the same."""
    text = " ".join(rb("global_schedule", "create", "--help")[1].split())
    assert re.search(r"--min NAME\|ID Minute: [^-]* Unless given: 0\.", text)
    assert re.search(r"--hour NAME\|ID Hour: [^-]* Unless given: 0\.", text)
    client = json.loads(rb("clients", "get", logged_in.facts["client"], "--json")[1])["id"]
    made = rb(
        "global_schedule", "create", "--name", "midnight", "--client-id", str(client), "--resource-type", "File system", "--resource",
        str(tmp_path), "--backup-type", "full", "--pool-id", "Default", "--crypto", "nocrypt", "--storage-duration", "1 day", "--json",
    )  # fmt: skip
    rule = str(json.loads(made[1])["id"])

    def when() -> list[int]:
        row = json.loads(rb("global_schedule", "get", rule, "--json")[1])
        return [row["hour"], row["min"]]

    assert when() == [0, 0]
    assert rb("global_schedule", "patch", rule, "--hour", "3", "--min", "30")[0] == 0
    assert when() == [3, 30]
    assert rb("global_schedule", "delete", rule, "--yes")[0] == 0
