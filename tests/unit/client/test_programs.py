"""Programs of the host that a task names: what is run, what is not, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rubackup.client import programs
from rubackup.client.programs import OUTPUT_BYTES, Result, run_program
from rubackup.domain.errors import Invalid, Stopped
from support.system import eventually


def program(path: Path, text: str, mode: int = 0o700) -> str:
    """A script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


def is_still(file: Path) -> bool:
    """Whether nobody writes it any more. One that was killed may be in its last system call yet."""
    stamp = file.stat().st_mtime_ns
    time.sleep(0.3)
    return file.stat().st_mtime_ns == stamp


def test_a_program_gets_its_arguments_and_variables_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments arrive as they are; the environment holds what was given and nothing of ours."""
    path = program(tmp_path / "show", 'for one in "$@"; do echo "<$one>"; done; echo "$NAME $PATH"; pwd')
    monkeypatch.setenv("RUBACKUP_TEST_SECRET", "secret")
    leak = program(tmp_path / "leak", 'echo "[$RUBACKUP_TEST_SECRET]"')

    result = run_program(path, ["a b", "$HOME; rm *", ""], {"NAME": "value"}, 10)

    assert result == Result(0, f"<a b>\n<$HOME; rm *>\n<>\nvalue {programs.ENVIRONMENT['PATH']}\n/")
    assert run_program(leak).output == "[]"


def test_how_it_ended_is_told(tmp_path: Path) -> None:
    """The exit code, or minus the signal; both outputs in the order in which they were written."""
    assert run_program(program(tmp_path / "a", "echo one; echo two >&2; echo three; exit 7")) == Result(
        7, "one\ntwo\nthree"
    )
    assert run_program(program(tmp_path / "b", "kill -9 $$")).exit_code == -9


def test_a_program_whose_time_is_over_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that does not listen to SIGTERM; the output says so."""
    alive = tmp_path / "alive"
    path = program(
        tmp_path / "slow",
        f"trap '' TERM; echo begun; (trap '' TERM; while :; do date > {alive}; sleep 0.05; done) & wait",
    )
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.3)
    looks: list[float] = []

    def clock() -> float:
        """Leaps an hour once the child lives; its first word, from which the deadline is counted, is before that."""
        looks.append(time.monotonic())
        return looks[-1] + (3600 if len(looks) > 1 and alive.exists() else 0)

    monkeypatch.setattr(programs, "time", SimpleNamespace(monotonic=clock))
    result = run_program(path, timeout_seconds=600)
    monkeypatch.setattr(programs, "time", time)

    assert result == Result(-9, "begun\nIt was ended after 600 s.")
    eventually(lambda: is_still(alive), 60)


def test_what_a_shell_has_put_into_groups_of_its_own_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole session ends, also when the program itself goes at once and its jobs do not listen to SIGTERM."""
    alive, stubborn = tmp_path / "alive", tmp_path / "stubborn.py"
    stubborn.write_text(
        "import os, pathlib, signal, time\nos.setpgid(0, 0)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"while True:\n    pathlib.Path({str(alive)!r}).touch()\n    time.sleep(0.05)\n"
    )
    path = program(tmp_path / "jobs", f"{sys.executable} {stubborn} & wait")
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.3)

    def check() -> None:
        if alive.exists():
            raise Stopped

    with pytest.raises(Stopped):
        run_program(path, check=check)
    eventually(lambda: is_still(alive), 60)


def test_a_check_that_raises_ends_the_program(tmp_path: Path) -> None:
    """A task that was killed does not wait for its script."""
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise Stopped

    with pytest.raises(Stopped):
        run_program(program(tmp_path / "slow", "sleep 60"), check=check)


def test_a_child_that_lives_on_is_not_waited_for(tmp_path: Path) -> None:
    """A script may start a service that keeps its output open."""
    result = run_program(program(tmp_path / "starter", "sleep 600 & echo $!"))
    child = int(result.output)
    try:
        assert result.exit_code == 0
        assert Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] in "RSD"
    finally:
        os.kill(child, signal.SIGKILL)


def test_output_is_bounded(tmp_path: Path) -> None:
    """The beginning is kept, the rest counted, and the program is not held up."""
    result = run_program(program(tmp_path / "loud", f"head -c {3 * OUTPUT_BYTES} /dev/zero | tr '\\0' x; exit 1"))

    assert result.exit_code == 1
    kept, _, said = result.output.rpartition("\n")
    assert kept == "x" * OUTPUT_BYTES
    assert said == f"{2 * OUTPUT_BYTES} more bytes of output are left out."


def test_bytes_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    """The log can hold whatever was written."""
    assert run_program(program(tmp_path / "raw", r"printf 'a\377\000b'")).output == r"a\xff\x00b"


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    """Relative and missing paths, folders, files without the bit, and what the kernel cannot run."""
    (tmp_path / "plain").write_text("x")
    (tmp_path / "nonsense").write_bytes(b"\x00\x01")
    (tmp_path / "nonsense").chmod(0o700)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in ("", "true", "./true", "/no/such", str(tmp_path), f"{tmp_path}/plain", f"{tmp_path}/nonsense"):
        with pytest.raises(Invalid):
            run_program(path)
    with pytest.raises(Invalid):
        run_program(f"{tmp_path}/loop")


def test_what_others_can_write_is_not_run(tmp_path: Path) -> None:
    """Neither the program nor a folder above it may be writable by group or others, also behind a link."""
    safe, open_folder = tmp_path / "safe", tmp_path / "open"
    safe.mkdir(mode=0o755)
    open_folder.mkdir()
    good = program(safe / "good", "echo ran")
    for mode in (0o770 | 0o020, 0o702 | 0o005):
        with pytest.raises(Invalid, match="others may write"):
            run_program(program(safe / "bad", "echo ran", mode))
    inside = program(open_folder / "inside", "echo ran")
    (safe / "link").symlink_to(inside)
    open_folder.chmod(0o777)
    for path in (inside, f"{safe}/link"):
        with pytest.raises(Invalid, match="others may write"):
            run_program(path)
    open_folder.chmod(0o1777)

    assert run_program(inside).output == "ran"  # sticky: others cannot put another file in its place
    assert run_program(good).output == "ran"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_what_belongs_to_others_is_not_run(tmp_path: Path) -> None:
    """A user cannot have root run his program."""
    path = program(tmp_path / "his", "echo ran", 0o755)
    os.chown(path, 12345, 0)

    with pytest.raises(Invalid, match="another user"):
        run_program(path)
