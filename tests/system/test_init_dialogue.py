"""`rb_init` at a terminal of our own: the dialogue of each node to its end, wrong answers, Ctrl-C, end of input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rubackup.catalog.database import DatabaseAddress
from support.databases import execute
from support.installed import Installation

CTRL_C, CTRL_D = "\x03", "\x04"
PASSWORD = "typed-password"
ASKED = "Password of rubackup (empty: a random one)"


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    """A host on which nothing was done yet."""
    return Installation.lay(tmp_path / "opt")


def untouched(host: Installation) -> bool:
    """Whether nothing but what packages bring is there."""
    return sorted(path.name for path in host.layout.root.iterdir()) == ["etc"] and not host.layout.config_file.exists()


def test_an_autonomous_client(host: Installation, tmp_path: Path) -> None:
    """Node and folder are asked for until they can be; the password is typed twice and not shown."""
    said = host.dialogue(
        [
            ("What is this host (1 to 5)?", "6"),
            ("One of primary-server,", "laptop"),
            ("or its number.", "5"),
            ("Folder for catalogue and copies", "srv/backup"),
            ("-a must be an absolute folder, such as /srv/backup, not 'srv/backup'.", "/etc/hosts"),
            ("-a must be a folder, and /etc/hosts is something else.", str(tmp_path / "disk")),
            (f"{ASKED}: ", "short"),
            (f"A password has 8 to 1024 characters.\r\n{ASKED}: ", PASSWORD),
            ("The same again: ", PASSWORD + "x"),
            (f"They are not the same.\r\n{ASKED}: ", PASSWORD),
            ("The same again: ", PASSWORD),
        ]
    )

    assert "This host is set up" in said
    assert PASSWORD not in said
    assert f"\nautonomous-directory {tmp_path / 'disk'}\n" in host.layout.config_file.read_text()
    assert (tmp_path / "disk/secrets/superuser-password").read_text().strip() == PASSWORD


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([("What is this host", "5"), ("Folder for", CTRL_C)], "Interrupted; nothing was changed."),
        (
            [("What is this host", "4"), ("Host of the primary server", "backup"), ("Fingerprint", CTRL_D)],
            "Input ended at a question that --fingerprint answers; nothing was changed.",
        ),
        (
            [("What is this host", "5"), ("Folder for", "/nonexistent/disk"), ("Password of rubackup", CTRL_D)],
            "Input ended at a question that -Y answers; nothing was changed.",
        ),
    ],
)
def test_who_gives_up_has_changed_nothing(host: Installation, answers: Sequence[tuple[str, str]], told: str) -> None:
    """Ctrl-C and the end of input, at the first question and at later ones."""
    said = host.dialogue(answers, status=78)

    assert told in said
    assert untouched(host)


def test_a_missing_flag_is_named_where_nobody_can_be_asked(host: Installation) -> None:
    """Without a terminal nothing is asked."""
    assert "Say with -n what this host is: primary-server," in host.run("rb_init", status=78)
    assert "An autonomous client needs -a DIR" in host.run("rb_init", "-n", "autonomous-client", status=78)
    assert "needs --bundle FILE" in host.run("rb_init", "-n", "secondary-server", status=78)
    assert "name a file that has it with -Y" in host.run("rb_init", "--passwd", status=78)
    assert untouched(host)


@pytest.mark.parametrize("flag", ["-r", "-R", "-g"])
def test_flags_of_the_product_that_nobody_knows(host: Installation, flag: str) -> None:
    """They are refused, with or without a value, in one sentence."""
    said = host.run("rb_init", "-y", "-n", "client", flag, "x", status=78)

    assert said.count("\n") == 1
    assert f"{flag} stands in scripts for the product, but what it means is not known" in said


@pytest.fixture
def names(postgres: DatabaseAddress) -> Iterator[str]:
    """A database and a role that go with the test."""
    yield "asked"
    execute(postgres, "DROP DATABASE IF EXISTS asked WITH (FORCE)", "DROP ROLE IF EXISTS asked")


def test_a_primary_server(host: Installation, tmp_path: Path, postgres: DatabaseAddress, names: str) -> None:
    """PostgreSQL, password, interface, pool; what cannot be is asked again."""
    (tmp_path / "admin").write_text(postgres.password)
    pool = tmp_path / "pool"

    said = host.dialogue(
        [
            ("What is this host (1 to 5)?", "primary-server"),
            ("Host of PostgreSQL [localhost]", "no such host"),
            ("-H must be a host name or an address, and 'no such host' has no address here.", postgres.host),
            (f"{ASKED}: ", PASSWORD),
            ("The same again: ", PASSWORD),
            ("Network interface or address", "eth-none"),
            ("-i must be a network interface of this host, or an address or name of its own, and 'eth-none' is none.", "lo"),
            (f"Folder of the pool Default [{host.layout.default_storage}]", str(pool)),
        ],
        "--db-port", str(postgres.port), "--db-name", names, "--db-user", names, "--db-admin", postgres.user,
        "-X", str(tmp_path / "admin"),
    )  # fmt: skip

    assert "This host is set up" in said
    assert PASSWORD not in said
    text = host.layout.config_file.read_text()
    assert "\nnode primary-server\n" in text
    assert "\nserver-inet-interface lo\n" in text
    assert pool.is_dir()


def test_a_new_password_is_typed(host: Installation, tmp_path: Path, postgres: DatabaseAddress, names: str) -> None:
    """`--passwd` at a terminal: twice, unseen; Ctrl-C changes nothing."""
    host.init_primary(tmp_path, postgres, names)

    assert PASSWORD not in host.dialogue(
        [("Password of rubackup: ", PASSWORD), ("The same again: ", PASSWORD)], "--passwd"
    )
    said = host.dialogue([("Password of rubackup: ", CTRL_C)], "--passwd", status=130)
    assert "interrupted" in said
