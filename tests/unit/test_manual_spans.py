"""Commands, flags, paths, keys, calls and names that the manual mentions in its sentences and tables are there as it says."""

from __future__ import annotations

import re
import shutil

import pytest

from support import commands
from support.manual import user_pages
from support.spans import KINDS, Span, judge, pages, spans


@pytest.mark.parametrize("page", sorted(pages()))
def test_what_a_page_names_is_there(page: str) -> None:
    """Each piece of code within a sentence is of a kind that is known, and holds."""
    found = {span: judge(span) for span in spans(page)}

    assert [f"{span} ({kind}) {wrong}" for span, (kind, wrong) in found.items() if wrong] == []


def test_every_kind_is_used() -> None:
    """One that no page needs any more only hides mistakes."""
    used = {judge(span)[0] for page in pages() for span in spans(page)}

    assert used == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize(
    "wrong",
    [
        "rb clouds update", "rb client list", "rb pools list --colums id", "rb_init --enrol-api NAME", "rb_pool list",
        "rubackup repository reconcille", "rubackup_client --hwids", "rubackup client key import [FILE] [--now]", "rb clients authorize --hostname NAME",
        "--replace-keys", "--renew [--restart]", "-Z FILE", "systemctl stop rubackup_daemon", "systemctl halt rubackup_api", "journalctl -u rubackup",
        "scripts/build-package --out DIR", "scripts/build-packages --to DIR", "/opt/rubackup/keys/masterkey", "keys/media/hwids", "/opt/rubackup/var/urgent",
        "GET /client", "POST /crypto", "GET /global_schedule/calendar?until=1", '{"service_mod": true}', "parallelism_", "log_level", "APP_HOSTS", "READ_TASK",
        "RUBACKUP_TOKENS", "dedup_clean_periods", "incrementel", "X-CSRF-TOKENS", "rubackup_pool_copy_count", "Client.from_tokens(url)", "save(path, over=True)",
        "patience_seconds=31", "The service database says no", "rb pools list | rb pool list", "curl --cafile CA https://HOST/healthz", "fooo",
    ],
)  # fmt: skip
def test_what_is_not_there_is_found(wrong: str) -> None:
    """On a page without blocks that would explain it."""
    assert judge(Span("glossary.md", 1, wrong))[1]


def test_a_flag_belongs_to_a_command_of_its_page() -> None:
    """That some other program has it does not help the reader."""
    assert judge(Span("reference.md", 1, "--metafile")) == ("a_flag", "")
    assert judge(Span("glossary.md", 1, "--metafile"))[1]
    assert judge(Span("restore.md", 1, "--hwid"))[1]


@pytest.mark.parametrize(
    "right",
    [
        "rb clients authorize", "rb pools create --uuid …", "rb_init -i", "rubackup media repair --metadata FOLDER [STORAGE...] [--verify [--give-up-lost]]",
        "key import [FILE] [--current]", "systemctl stop rubackup_api", "/opt/rubackup/etc/systemd/system/rubackup_api.service", "log/rubackup_<name>/",
        "GET /clients/{id}", "keep_", "full", "parallelizm", "rb completion fish | source", "rubackup client [--state DIR | --socket PATH] COMMAND",
    ],
)  # fmt: skip
def test_what_is_there_is_found(right: str) -> None:
    """Optional parts, placeholders and parts of commands are read as people read them."""
    assert judge(Span("glossary.md", 1, right))[1] == ""


def test_what_curl_is_told_is_known_to_it() -> None:
    """By its own help."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")

    assert judge(Span("glossary.md", 1, "curl --cacert CA https://HOST:5656/healthz"))[1] == ""


@pytest.mark.parametrize("language", [".md", ".ru.md"])
def test_every_flag_of_rb_init_is_explained(language: str) -> None:
    """In the table of the installation."""
    told = user_pages(language)["installation"].read_text(encoding="utf-8")
    table = re.search(r"^### rb_init\n(.*?)^#", told, re.MULTILINE | re.DOTALL)
    assert table
    first = "\n".join(line.split(" | ")[0] for line in table[1].splitlines() if line.startswith("| "))
    shown = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", first))

    assert shown | {"-h", "--help", "--folders"} == commands.commands()["rb_init"]
