"""Programs that scripts of rules name: whose folders are trusted, what a script cannot see, what cannot be started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rubackup.client.programs import run_program
from rubackup.domain.errors import RubackupError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only its owner may write, whatever the umask is."""
    tmp_path.chmod(0o755)
    return tmp_path


def program(folder: Path, text: str, interpreter: str = "/bin/sh") -> str:
    """A script."""
    path = folder / "program"
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_paths_that_are_not_utf_8_arrive_in_the_environment(folder: Path) -> None:
    """RUBACKUP_RESOURCE is the path's bytes."""
    path = program(folder, 'printf %s "$RUBACKUP_RESOURCE"')

    assert run_program(path, (), {"RUBACKUP_RESOURCE": "/\udcff"}, 10).output == "/\\xff"


def test_nothing_can_be_read_from_the_client(folder: Path) -> None:
    """The input is empty, and no descriptor of the client's process is handed on."""
    with (folder / "secret").open("wb") as secret:
        os.set_inheritable(secret.fileno(), True)
        output = run_program(program(folder, "cat; ls /proc/self/fd | wc -l"), (), {}, 10).output

    assert int(output) <= 4  # the three of a program, and the folder that ls reads


def test_a_folder_further_up_counts_too(folder: Path) -> None:
    """Whoever may rename a folder on the way decides what lies there."""
    inner = folder / "open" / "inner"
    inner.mkdir(parents=True)
    path = program(inner, "echo no")
    inner.chmod(0o755)
    (folder / "open").chmod(0o777)

    with pytest.raises(RubackupError, match="others may write"):
        run_program(path, (), {}, 10)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_another_user_counts_too(folder: Path) -> None:
    """Its owner could have put anything there."""
    path = program(folder, "echo no")
    os.chown(folder, 65534, 65534)

    with pytest.raises(RubackupError):
        run_program(path, (), {}, 10)


def test_an_interpreter_that_is_missing_is_a_refusal(folder: Path) -> None:
    """The kernel's word, not a crash."""
    with pytest.raises(RubackupError):
        run_program(program(folder, "", "/no/such/interpreter"), (), {}, 10)


def linked(folder: Path, mode: int) -> str:
    """A trusted program, named by a link in a folder of that mode."""
    path = program(folder, "echo ran")
    (folder / "links").mkdir()
    (folder / "links" / "link").symlink_to(path)
    (folder / "links").chmod(mode)
    return str(folder / "links" / "link")


def test_a_link_that_anybody_can_turn_is_not_followed(folder: Path) -> None:
    """Its folder is on the way to the program as it is named."""
    with pytest.raises(RubackupError, match="others may write"):
        run_program(linked(folder, 0o777), (), {}, 10)


def test_a_link_on_a_safe_way_is_followed(folder: Path) -> None:
    """Relative and absolute links, of files and of folders, also through '..'."""
    path = linked(folder, 0o755)
    (folder / "more").symlink_to("links/../links")

    assert run_program(path, (), {}, 10).output == "ran"
    assert run_program(f"{folder}/more/./link", (), {}, 10).output == "ran"


def test_a_link_within_the_way_of_a_link_counts_too(folder: Path) -> None:
    """Each link is followed by itself."""
    unsafe = linked(folder, 0o777)
    (folder / "first").symlink_to(unsafe)

    with pytest.raises(RubackupError, match="others may write"):
        run_program(str(folder / "first"), (), {}, 10)


def test_links_in_a_circle_are_refused(folder: Path) -> None:
    """As the kernel does."""
    (folder / "circle").symlink_to("circle")

    with pytest.raises(RubackupError, match="cannot be run"):
        run_program(str(folder / "circle"), (), {}, 10)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links away")
def test_a_link_of_another_user_is_not_followed(folder: Path) -> None:
    """In a sticky folder he alone may turn it."""
    path = linked(folder, 0o1777)
    assert run_program(path, (), {}, 10).output == "ran"
    os.chown(path, 65534, 65534, follow_symlinks=False)

    with pytest.raises(RubackupError, match="another user"):
        run_program(path, (), {}, 10)
