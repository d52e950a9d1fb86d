"""The command `rb` without an API: commands made from the description of the API, exit statuses, what is shown."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from rubackup.cli import other_names, output
from rubackup.cli.rb import access, bodies, deleting, names, shells, tables, tasks
from rubackup.cli.rb.generic import HIDDEN, FamilyGroup, show
from rubackup.cli.rb.main import ALIASES, made
from rubackup.cli.rb.status import Named, exit_status
from rubackup.cli.rb.tools import ABOUT, TOOLS, operation, tool_of
from rubackup.sdk import Answer, LoggedOut, Misused, Refused, Unreachable
from rubackup.sdk.operations import families
from support.rb import rb

CALLS = [(family, one["verb"]) for family, facts in families().items() for one in facts["operations"]]


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv(access.PROFILE, "default")  # an option of `rb` sets it, too
    for name in (access.API, access.CA, access.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)


def test_every_call_of_the_api_has_a_command() -> None:
    """All families, all their verbs; many are deleted by the command that deletes one, and streams have their own."""
    missing = []
    for family, verb in CALLS:
        found = made(family)
        name = {"read": "get", "update": "patch", "delete_many": "delete"}.get(verb, verb)
        if found is None or (verb not in HIDDEN - {"delete_many"} and found.get_command(None, name) is None):
            missing.append((family, verb))

    assert missing == []
    assert len(CALLS) > 280


@pytest.mark.parametrize("family", sorted(families()))
def test_the_commands_of_a_family_explain_themselves(family: str) -> None:
    """Every command can be made and shows its help."""
    found = made(family)
    assert isinstance(found, FamilyGroup)

    for name in found.list_commands(None):
        status, text, said = rb(family, name, "--help")
        assert (status, said) == (0, ""), name
        assert "--json" in text or name == "download", name


def test_lists_offer_what_their_calls_take() -> None:
    """An option that the API refuses is none."""
    lists = [
        (family, one) for family, facts in families().items() for one in facts["operations"]
        if one.get("listed") and one["method"] == "GET"
    ]  # fmt: skip

    for family, one in lists:
        text = rb(family, {"read": "get"}.get(one["verb"], one["verb"]), "--help")[1]
        offered = {
            name
            for name in ("--filter", "--sort", "--limit", "--all", "ROW")
            if re.search(rf"^ .*{name}\b", text, re.MULTILINE)
        }
        takes = {"filter_data": {"--filter"}, "limit": {"--limit", "--all"}}
        wanted = set().union(*(takes.get(name, set()) for name in one["lists_by"]))
        wanted |= {"--sort"} if one["sorted_by"] else set()
        assert offered == wanted | ({"ROW"} if "{id}" in one["path"] else set()), (family, one["verb"])
    assert len(lists) > 60


def test_no_secret_can_be_given_on_the_command_line() -> None:
    """Passwords and keys come from files, standard input or a prompt."""
    secrets = [
        (family, one["verb"], bodies.flag(field, field["name"]))
        for family, facts in families().items() for one in facts["operations"]
        for field in one.get("body", {}).get("fields", ()) if field.get("secret")
    ]  # fmt: skip

    assert len(secrets) >= 5
    assert all(flag.endswith("-file") for _, _, flag in secrets)
    assert rb("login", "https://x", "--password", "y")[0] == 2


def test_tools_show_columns_that_there_are() -> None:
    """A column that the API loses is noticed here."""
    wrong = [
        (name, column)
        for name, tool in TOOLS.items() for column in (*tool.columns, *tool.keys)
        if (listed := operation(tool.family, "list")) and column not in {c["name"] for c in listed["columns"]}
    ]  # fmt: skip

    assert wrong == []


def test_every_tool_says_what_it_is_for() -> None:
    """In the help and in shells that show it."""
    text = rb("--help")[1]

    assert set(ABOUT) == {*TOOLS, "cloud_task_queue"}
    assert all(sentence.split(";")[0].split(":")[0].rstrip(".") in text for sentence in ABOUT.values())


def test_every_alias_is_installed() -> None:
    """As a command of its own, which finds out by its name what it is."""
    import tomllib

    scripts = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["scripts"]

    aliases = {name for name, entry in scripts.items() if entry == "rubackup.cli.rb.main:alias"}
    assert aliases == {f"rb_{name}" for name in ALIASES}
    assert {n for n, entry in scripts.items() if entry.endswith("other_names:client_tool")} == set(
        other_names.CLIENT_TOOLS
    )
    assert {n for n, entry in scripts.items() if entry.endswith("other_names:instead")} == set(other_names.INSTEAD)
    assert scripts["rb"] == "rubackup.cli.rb.main:main"


def test_an_alias_is_its_command(tmp_path: Path) -> None:
    """By the name that it was called by, with the product's flags."""
    program = tmp_path / "rb_global_schedule"
    program.write_text("from rubackup.cli.rb.main import alias\nalias()\n")

    done = subprocess.run(
        [sys.executable, str(program), "-x", "1"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
    )  # fmt: skip

    assert done.returncode == 5  # it has come as far as to need a login
    assert done.stderr.startswith("rb_global_schedule: Nobody is logged in")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rb po", ["pools", "pool_substitution"]), ("rb pools cr", ["create"]), ("rb pools list --filter pool_n", ["pool_name"]),
        ("rb pools list --columns id,used", ["id,used_bytes"]), ("rb pools create --ignore-free-space-check ", ["yes", "no"]),
        ("rb storage_clouds create --object-lock g", ["governance"]), ("rb pools get ", []),
    ],
)  # fmt: skip
def test_a_shell_completes(line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, options' values and columns; names of rows only where the API can be asked."""
    monkeypatch.setenv(shells.VARIABLE, "bash")
    monkeypatch.setenv(shells.LINE, line)

    status, text, said = rb()

    assert (status, said) == (shells.NO_FILES, "")
    assert text.split() == expected


@pytest.mark.parametrize(
    ("line", "words", "quoted"),
    [
        ("rb pools ", ["rb", "pools", ""], False), ("rb po", ["rb", "po"], False), ("rb x\\ y", ["rb", "x y"], False),
        ("rb x\\ ", ["rb", "x "], False), ('rb "x y', ["rb", "x y"], True), ("rb 'x y", ["rb", "x y"], True), ("rb '", ["rb", ""], True),
        ('rb "x y" ', ["rb", "x y", ""], False),
    ],
)  # fmt: skip
def test_a_line_is_split_as_bash_splits_it(line: str, words: list[str], quoted: bool) -> None:
    """The last word is what is being typed."""
    assert shells.split(line) == (words, quoted)


def test_a_name_cannot_become_a_command_when_it_is_completed() -> None:
    """Whoever may name a pool must not have the administrator's shell run it."""
    assert shells.escaped("$(id) `id`;x'\"*|&<>") == r"\$\(id\)\ \`id\`\;x\'\"\*\|\&\<\>"
    assert shells.escaped("Пул-1_a.b/c:d@e") == "Пул-1_a.b/c:d@e"


def test_a_family_is_found_by_both_names() -> None:
    """The product's and the API's, with hyphens or underscores."""
    assert made("pools").tool is made("pool_list").tool is tool_of("pools")
    assert rb("pool-list", "--help")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["pools"], 5), (["whoami"], 5), (["no-such-command"], 2), (["pools", "no-such-verb"], 2), (["call", "PUT", "/x"], 2),
        (["pools", "list", "--columns", "nothing"], 2), (["global_config", "patch"], 2), (["completion", "tcsh"], 2),
        (["pools", "create", "--max-tasks", "many"], 2), (["pools", "create", "--ignore-free-space-check", "maybe"], 2),
        (["pools", "create", "--data", "/no/such/file"], 2), (["restore", "1"], 2), (["login"], 2), (["login", "http://x", "-u", "a"], 2),
        (["--profile", "../x", "pools"], 2), (["login", "https://localhost:1", "-u", "a", "--ca", "/no/such/file"], 2),
        (["version"], 0), (["--version"], 0), (["-h"], 0), (["pools", "-h"], 0), (["pools", "--json", "x"], 2), ([], 2),
        (["pools", "--limit", "0"], 2), (["pools", "--limit", "1"], 5), (["login", "--state", "/no/such/folder"], 2),
    ],
)  # fmt: skip
def test_a_wrong_usage_is_told_apart(arguments: list[str], status: int) -> None:
    """From having to log in, too."""
    assert rb(*arguments)[0] == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("x", 400), 1), (Refused("x", 401), 5), (Refused("x", 403), 6), (Refused("x", 404), 7), (Refused("x", 409), 1),
        (Refused("x", 429), 1), (Refused("x", 503), 3), (LoggedOut("x"), 5), (Unreachable("x"), 3), (Misused("x"), 2),
    ],
)  # fmt: skip
def test_an_error_has_its_exit_status(error: Any, status: int) -> None:
    """As docs/cli.md says."""
    assert exit_status(error) == status


def test_what_went_well_only_in_part_is_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    """207: the table shows what did not."""
    with pytest.raises(typer.Exit) as ended:
        show(Answer(207, {"items": [{"id": 5, "problem": "is gone"}]}, "", {}), json=False)

    assert ended.value.exit_code == 8
    assert "is gone" in capsys.readouterr().out


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by its name, without its content."""
    file = tmp_path / "token"
    file.write_text("rbt_secret")
    file.chmod(0o644)
    monkeypatch.setenv(access.TOKEN_FILE, str(file))
    monkeypatch.setenv(access.API, "https://localhost:1")

    status, _, said = rb("pools")

    assert status == 2
    assert str(file) in said
    assert "rbt_secret" not in said


def body_of(family: str, verb: str, **values: str) -> Any:
    """What a command would send."""
    facts = operation(family, verb)
    assert facts is not None
    return bodies.body(facts["body"], {bodies.parameter(name.replace("__", ".")): v for name, v in values.items()}, "")


def test_options_become_the_body_that_the_api_takes() -> None:
    """Dotted fields, numbers, names or ids, null and yes or no."""
    assert body_of("pool_list", "create", pool_name="7", media_server="7", retention_period="null", max_tasks="3") == {
        "data": {"pool_name": "7", "media_server": 7, "retention_period": None, "max_tasks": 3}
    }
    assert body_of("task_queue", "create", task__client="a (b)", task__archiving="no") == {
        "data": {"task": {"client": "a (b)", "archiving": False}}
    }
    assert body_of("global_schedule", "set_status", id="5", status="run") == {"data": [{"id": 5, "status": "run"}]}


def test_options_win_over_a_file(tmp_path: Path) -> None:
    """The file may have `data` around it, as the API's examples do."""
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"data": {"name": "file", "shared": True}}))
    facts = operation("client_groups", "create")
    assert facts is not None

    sent = bodies.body(facts["body"], {"field_name": "option"}, str(file))

    assert sent == {"data": {"name": "option", "shared": True}}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("used_bytes", 1536, "1.5 KiB"), ("used_bytes", 0, "0 B"), ("online", True, "yes"), ("x", None, ""), ("mode", 420, "0644"),
        ("roles", ["a", "b"], "a, b"), ("x", {"a": 1}, '{"a": 1}'), ("at", "2026-01-02T03:04:05.678+03:00", "2026-01-02 03:04:05 +03:00"),
        ("speed_bytes_per_second", 2048, "2.0 KiB/s"), ("used_bytes", 3 * 1024**5, "3.0 PiB"),
    ],
)  # fmt: skip
def test_values_are_written_for_people(name: str, value: Any, text: str) -> None:
    """Sizes, instants, flags; JSON has them as they came."""
    assert tables.shown(name, value) == text


def test_a_table_fits_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The widest column gives way; where that is not enough, rows are told one by one. Elsewhere nothing is cut."""
    row = ["1", "пул-" + "x" * 40, "文" * 20]

    output.columns(["Id", "Name", "Note"], [row], limit=40)
    told = capsys.readouterr().out.splitlines()
    assert [output.cells(line) <= 40 for line in told] == [True, True]
    assert told[1].split() == ["1", "пул-xxxxxxxxxxxx…", "文" * 8 + "…"]

    output.columns(["Id", "Note"], [["1", "long " * 200_000]], limit=40)
    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [8, 40]

    output.columns(["Id", "Name", "Note"], [row], limit=15)
    assert capsys.readouterr().out.splitlines() == [f"Id    {row[0]}", f"Name  {row[1]}", f"Note  {row[2]}"]

    output.columns(["Id", "Name", "Note"], [row])
    assert capsys.readouterr().out.splitlines()[1].split() == row


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r", "iso8859-1"])
def test_what_an_encoding_does_not_have_is_escaped(encoding: str, tmp_path: Path) -> None:
    """JSON stays JSON, and a table is shown."""
    program = (
        "from rubackup.cli import output\noutput.survive_encoding()\n"
        "output.as_json({'имя': '文é😀'})\noutput.columns(['имя'], [['文é😀']])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONIOENCODING": encoding}
    )  # fmt: skip

    lines = done.stdout.decode(encoding).splitlines()
    assert json.loads("".join(lines[:-2])) == {"имя": "文é😀"}
    assert "\\u6587" in lines[-1]


def test_an_error_is_json_where_json_is_asked_for() -> None:
    """On stderr, with what the API's envelope said."""
    status, text, said = rb("pools", "--json")

    assert (status, text) == (5, "")
    assert json.loads(said) | {"message": ""} == {
        "is_error": True, "message": "", "errors": {}, "status": None, "retry_after": None, "exit_status": 5
    }  # fmt: skip


def test_a_place_that_is_damaged_is_written_anew_by_a_login(tmp_path: Path) -> None:
    """That names the API; one that relies on it says what is wrong."""
    file = access.profile_folder() / "place.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")

    assert (
        rb("login", "https://localhost:1", "-u", "a", "--password-file", "/no/such/file")[2]
        == "rb: There is no file /no/such/file.\n"
    )
    assert "is damaged" in rb("login", "--password-file", "-")[2]


@pytest.mark.parametrize("program", sorted(other_names.INSTEAD))
def test_a_name_with_nothing_behind_it_says_what_there_is(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence of commands that there are; a script must not take it for done."""
    monkeypatch.setattr(sys, "argv", [f"/opt/rubackup/bin/{program}", "-l"])
    with pytest.raises(SystemExit) as ended:
        other_names.instead()
    told = capsys.readouterr().err

    assert ended.value.code == 2
    assert told.startswith(f"{program}: ")
    assert told.count("\n") == 1
    for name in re.findall(r"\brb (\w+)\b", told):
        assert name == "does" or made(name) is not None


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [
        ("rb_tasks", [], ["tasks"]), ("rb_schedule", ["--json"], ["rules", "--json"]),
        ("rb_archives", ["--state", "s", "--json"], ["--state", "s", "copies", "--json"]),
        ("rb_archives", ["--socket=s", "delete-copy", "5"], ["--socket=s", "delete-copy", "5"]),
        ("rb_archives", ["restore", "5"], ["restore", "5"]), ("rb_tasks", ["-h"], ["tasks", "-h"]),
    ],
)  # fmt: skip
def test_tools_of_a_client_are_commands_of_rubackup_client(program: str, given: list[str], expected: list[str]) -> None:
    """Under the names of the product."""
    assert other_names.arguments(program, given) == expected


def test_a_name_that_several_rows_have_names_none() -> None:
    """Their ids are told instead of one being taken."""
    found = [{"id": 3}, {"id": 5}]
    api: Any = SimpleNamespace(
        call=lambda *_, query: Answer(200, {"items": found if "hostname" in query["filter_data"] else []}, "", {})
    )

    with pytest.raises(Misused, match=r"Several of clients have hostname web: name one of them by its id \(3, 5\)"):
        names.find(api, TOOLS["clients"], "web")
    assert names.find(api, TOOLS["clients"], "7") == 7


def test_some_tasks_that_allow_it_are_done_in_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 8. A refusal that is not about the task ends all."""
    answers: list[Any] = [Answer(200, {}, "Killed.", {}), Refused("It has ended.", 400), Refused("Log in.", 401)]

    def kill(_: dict[str, int]) -> Answer[Any]:
        answer = answers.pop(0)
        if isinstance(answer, Refused):
            raise answer
        return answer

    api = SimpleNamespace(calls=SimpleNamespace(kill_task=kill))
    monkeypatch.setattr(tasks, "connect", lambda: contextlib.nullcontext(api))

    with pytest.raises(typer.Exit) as ended:
        tasks.kill([1, 2])
    assert (ended.value.exit_code, capsys.readouterr().out) == (8, "task 1: Killed.\ntask 2: It has ended.\n")
    with pytest.raises(Refused):
        tasks.kill([1, 2])


def test_a_deletion_is_none_the_less_done_where_the_api_goes_away_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What went with it is not known then, which is told."""

    def read(_: int) -> Any:
        raise Unreachable("The API does not answer.")

    api: Any = SimpleNamespace(repository=SimpleNamespace(read=read))

    assert deleting._gone(api, [5]) is None
    assert "The API does not answer." in capsys.readouterr().err


def test_many_copies_are_counted_and_some_named() -> None:
    """A question that fits a terminal."""
    assert deleting._named([7]) == "copy 7"
    assert deleting._named([7, 8]) == "2 copies: 7, 8"
    assert deleting._named(range(1, 24)).endswith(" 19, 20 and 3 more")


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("data.pool_name", "--pool-name (data.pool_name)"), ("data.0.pool_name", "--pool-name (data.0.pool_name)"),
        ("data.pool_name.3.x", "--pool-name (data.pool_name.3.x)"), ("data.other", "data.other"), ("", ""),
    ],
)  # fmt: skip
def test_a_wrong_field_is_found_by_its_option(field: str, told: str) -> None:
    """In rows, and inside of what an option takes as a whole."""
    assert Named(Refused("x", 400), {"data.pool_name": "--pool-name"}).label(field) == told
