"""The manual's commands: each says where it is run, and something runs it there."""

from __future__ import annotations

import re

import pytest

from support.manual import HOSTS, OWN_TEST, RECOVERY, ROOT, UP, Block, blocks, fences, parts, script, user_pages

PAGES = user_pages()
RUNNERS = {
    UP: "tests/system/test_manual.py",
    RECOVERY: "tests/system/test_recovery_manual.py",
    **dict.fromkeys(HOSTS, "tests/packages"),
}


def runs(where: str) -> bool:
    """Whether a test reads the manual for the blocks of a place."""
    runner = ROOT / RUNNERS[where]
    texts = [file.read_text() for file in ([runner] if runner.is_file() else runner.rglob("*.py"))]
    constant = {UP: "UP", RECOVERY: "RECOVERY"}.get(where, "HOSTS")
    named = any(re.search(rf'"{where}"|\b{constant}\b', text) for text in texts)
    return named and any("support.manual" in text for text in texts)


def test_the_manual_has_pages() -> None:
    """And pages of developers are none of them."""
    assert {"installation", "configuration", "cli", "api", "reference", "glossary"} <= set(PAGES)
    assert not {"architecture", "contract"} & set(PAGES)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OWN_TEST])
def test_every_command_says_where_it_is_run(page: str) -> None:
    """A block without a known place is run by nobody."""
    lost = [str(block) for block in blocks([page]) if block.where not in RUNNERS]

    assert lost == []
    assert PAGES[page].read_text().count("```sh") == len(list(blocks([page])))


def test_every_place_has_a_test_that_runs_it() -> None:
    """A place that is named in a page has a runner, which reads the pages."""
    used = {block.where for block in blocks() if block.page not in OWN_TEST}

    assert [where for where in sorted(used) if not runs(where)] == []


@pytest.mark.parametrize(("page", "file"), OWN_TEST.items())
def test_pages_with_a_test_of_their_own_have_it(page: str, file: str) -> None:
    """It reads that page."""
    assert f'"{page}.md"' in (ROOT / file).read_text()


def test_blocks_are_read_with_their_place_and_what_they_print() -> None:
    """The line is that of the fence; text that is not directly below belongs to nobody."""
    page = "# T\n\n<!-- note -->\n\n<!-- run: up -->\n```sh\necho 1\n```\n```text\n1\n```\n\n```text\nelse\n```\n\n```sh\nx\n```\n"

    assert fences(page, "p") == [
        Block("p", 6, "sh", "up", "echo 1\n", "1\n"), Block("p", 13, "text", "", "else\n"), Block("p", 17, "sh", "", "x\n"),
    ]  # fmt: skip


def test_what_a_page_leaves_open_may_differ() -> None:
    """And nothing else."""
    block = Block("p", 1, "sh", "up", "", "task …  Done\n")

    assert not block.differs("task 17  Done\n")
    assert block.differs("task 17  Error\n")
    assert not Block("p", 1, "sh", "up", "").differs("anything")


def test_a_script_tells_what_each_block_printed() -> None:
    """In one shell, so that variables of one block hold in the next."""
    import subprocess

    made = script(
        [Block("p", 1, "sh", "up", "a=1\necho one\n"), Block("p", 2, "sh", "up", "echo $a\nfalse\necho no\n")]
    )
    done = subprocess.run(["bash", "-c", made], capture_output=True, text=True, check=False)

    assert (parts(done.stdout), done.returncode) == (["one\n", "1\n"], 1)
