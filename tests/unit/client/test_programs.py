"""Programs of administrators: what is run, with what, for how long, and what is not run."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from rubackup.client.programs import OUTPUT_BYTES, TIMED_OUT, run_program
from rubackup.domain.errors import Refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only its owner may write, whatever the umask is."""
    tmp_path.chmod(0o755)
    return tmp_path


def program(folder: Path, text: str, mode: int = 0o755, name: str = "program") -> str:
    """A shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


def ended(process: int) -> bool:
    """Whether a process that is no child of ours ends within 10 s."""
    try:
        fd = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)


def test_output_and_exit_code_come_back(folder):
    """Both streams in the order they were written, and the code."""
    result = run_program(program(folder, 'echo one; echo two >&2; echo "$1|$2"; exit 7'), ("a b", "$HOME"), {}, 10)

    assert (result.exit_code, result.output) == (7, "one\ntwo\na b|$HOME")


def test_the_environment_is_what_was_given_and_nothing_of_ours(folder, monkeypatch):
    """A secret of the client's process does not reach a program; paths that are not UTF-8 do."""
    monkeypatch.setenv("A_SECRET", "x")
    path = program(folder, 'env -0 | tr "\\0" "\\n"; pwd; cat')

    lines = run_program(path, (), {"RUBACKUP_TASK_ID": "7", "RUBACKUP_RESOURCE": "/\udcff"}, 10).output.splitlines()

    assert "RUBACKUP_TASK_ID=7" in lines
    assert "RUBACKUP_RESOURCE=/\\xff" in lines
    assert lines[-1] == "/"
    assert {line.partition("=")[0] for line in lines if "=" in line} <= {
        "PATH", "LANG", "PWD", "_", "SHLVL", "OLDPWD", "RUBACKUP_TASK_ID", "RUBACKUP_RESOURCE",
    }  # fmt: skip


def test_a_program_that_takes_too_long_is_killed_with_its_children(folder):
    """After its time nothing of it is left; what it had written is told."""
    path = program(folder, f"sleep 60 & echo $! > {folder}/child; echo begun; sleep 60")
    began = time.monotonic()

    result = run_program(path, (), {}, 0.5)

    assert time.monotonic() - began < 10
    assert result.exit_code == TIMED_OUT
    assert result.output.startswith("begun")
    assert "0.5 s" in result.output
    assert ended(int((folder / "child").read_text()))


def test_what_a_program_leaves_running_is_not_waited_for(folder):
    """A child that holds the output open keeps nobody waiting."""
    path = program(folder, f"sleep 60 & echo $! > {folder}/child; echo done")
    began = time.monotonic()

    result = run_program(path, (), {}, 30)
    os.kill(int((folder / "child").read_text()), 9)

    assert time.monotonic() - began < 10
    assert (result.exit_code, result.output) == (0, "done")


def test_endless_output_is_cut_and_counted(folder):
    """A program may write as much as it likes; memory stays bounded."""
    result = run_program(program(folder, "head -c 3000000 /dev/zero | tr '\\0' x"), (), {}, 30)

    assert result.exit_code == 0
    kept, _, note = result.output.partition("\n")
    assert len(kept) == OUTPUT_BYTES
    assert note == f"({3_000_000 - OUTPUT_BYTES} more bytes are left out.)"


def test_a_signal_is_told_as_a_shell_tells_it(folder):
    """128 and the number."""
    assert run_program(program(folder, "kill -9 $$"), (), {}, 10).exit_code == 137


def test_a_link_to_a_good_program_is_followed(folder):
    """What is checked is what is run."""
    (folder / "link").symlink_to(program(folder, "echo $0"))

    assert run_program(str(folder / "link"), (), {}, 10).output == str(folder / "program")


@pytest.mark.parametrize("path", ["", "program", "./program", "/no/such/program", "/etc", "/dev/null", "/a\0b"])
def test_what_is_no_program_is_not_run(path):
    """Relative, missing, a folder, a device: a sentence names it."""
    with pytest.raises(Refused):
        run_program(path, (), {}, 10)


@pytest.mark.parametrize("mode", [0o644, 0o775, 0o757, 0o777])
def test_a_file_that_others_could_have_written_is_not_run(folder, mode):
    """Nor one that is not executable."""
    with pytest.raises(Refused, match=r"others may write|not executable"):
        run_program(program(folder, "echo no", mode), (), {}, 10)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_could_have_written_is_enough_to_refuse(folder, mode):
    """They could have put the file there, in a sticky folder too."""
    inner = folder / "inner"
    inner.mkdir()
    path = program(inner, "echo no")
    inner.chmod(mode)

    with pytest.raises(Refused, match="others may write"):
        run_program(path, (), {}, 10)


def test_a_folder_further_up_counts_too(folder):
    """Whoever may rename a folder on the way decides what lies there."""
    inner = folder / "open" / "inner"
    inner.mkdir(parents=True)
    path = program(inner, "echo no")
    (folder / "open").chmod(0o777)
    inner.chmod(0o755)

    with pytest.raises(Refused, match="others may write"):
        run_program(path, (), {}, 10)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_or_folder_of_another_user_is_not_run(folder):
    """Neither root's nor ours: the owner could have written anything."""
    path = program(folder, "echo no")
    os.chown(path, 65534, 65534)
    with pytest.raises(Refused, match="belongs to neither"):
        run_program(path, (), {}, 10)
    os.chown(path, 0, 0)
    os.chown(folder, 65534, 65534)
    with pytest.raises(Refused, match="belongs to neither"):
        run_program(path, (), {}, 10)


def test_a_program_that_cannot_be_started_is_told(folder):
    """An interpreter that is not there is a refusal, not a crash."""
    path = folder / "program"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)

    with pytest.raises(Refused, match="cannot be started"):
        run_program(str(path), (), {}, 10)
