"""config.file: what an administrator writes, what the processes read, and what is refused by name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rubackup.roles.client import own_storages
from rubackup.roles.init.nodes import keep_hwids
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.check import check
from rubackup.roles.installed.config_file import KEYS, NAMES, NODES, ConfigFile, parse, render
from rubackup.roles.installed.interfaces import address_of, own_address
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An installation with hardware ids and nothing else."""
    layout = Layout(tmp_path)
    for role in ("server", "media", "client"):
        layout.hwid(role).parent.mkdir(parents=True)
    keep_hwids(layout, ("server", "media", "client"))
    (tmp_path / "etc").mkdir()
    return layout


def written(layout: Layout, text: str) -> ConfigFile:
    """The file with this text."""
    layout.config_file.write_text(text)
    return ConfigFile.load(layout.config_file)


def test_a_rendered_file_is_read_back() -> None:
    """Every key stands in the file, those without a value as comments with their defaults."""
    text = render({"node": "client", "who-is-primary-server": "backup1:9991,backup2"})

    assert parse(text, "x") == {"node": "client", "who-is-primary-server": "backup1:9991,backup2"}
    assert [key.name for key in KEYS if f"\n{key.name}" not in text and f"\n#{key.name}" not in text] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("parallelism 3", "there is no key 'parallelism'; did you mean parallelizm?"),
        ("zzz 3", "there is no key 'zzz'; there are: node, who-is-primary-server,"),
        ("password secret", "a password does not stand in this file; name a file in password-file"),
        ("node client", "repeats the key node"),
    ],
)
def test_a_wrong_line_is_named(line: str, told: str) -> None:
    """The sentence has the line's number and what is allowed; never a password."""
    with pytest.raises(ConfigurationFault, match=r"^Line 3 of x") as caught:
        parse(f"# comment\nnode client\n{line}\n", "x")

    assert told in caught.value.message
    assert "secret" not in caught.value.message


def test_a_host_runs_what_its_node_says(layout: Layout) -> None:
    """A client runs no server; an unknown node is refused with those that there are."""
    with pytest.raises(ConfigurationFault, match="The node client runs no server process"):
        written(layout, "node client\n").settings("server", layout)
    with pytest.raises(ConfigurationFault, match="node must be one of primary-server, secondary-server, media-server"):
        written(layout, "node laptop\n").settings("client", layout)


def test_errors_name_keys_as_they_are_written(layout: Layout) -> None:
    """Not the names that the processes use inside."""
    file = written(layout, "node primary-server\nserver-port many\nmedia-port 70000\n")

    with pytest.raises(ConfigurationFault, match=r"^server-port must be a whole number, not 'many' \(.*config.file\)"):
        file.settings("server", layout).port("CONTROL_PORT")
    with pytest.raises(ConfigurationFault, match=r"^media-port must be a port from 0 to 65535, not '70000'"):
        file.settings("media", layout).port("DATA_PORT")


def test_the_environment_changes_nothing_that_the_file_decides(layout: Layout) -> None:
    """HOSTNAME of a shell is not this host's name to administrators; what only tests set is read."""
    environment = {"HOSTNAME": "shell", "CONTROL_PORT": "1", "ROUNDS_SECONDS": "5"}
    settings = written(layout, "node primary-server\nhostname backup1\n").settings("server", layout, environment)

    assert settings.text("HOSTNAME") == "backup1"
    assert settings.port("CONTROL_PORT") == 9991
    assert settings.integer("ROUNDS_SECONDS") == 5


def test_keys_and_state_are_no_part_of_a_copy(layout: Layout) -> None:
    """A client protects the installation's keys and state, and keeps its master key at the guide's place."""
    settings = written(layout, "node client\n").settings("client", layout)

    assert set(settings.folders("PROTECTED_DIRS")) == {layout.root / "keys", layout.root / "var"}
    assert settings.path("MASTER_KEY") == layout.root / "keys/master-key"


def test_a_server_is_always_there_for_its_own_host(layout: Layout) -> None:
    """Beside the interface that others use it listens on loopback, where this host's programs dial it."""
    text = "node primary-server\nserver-inet-interface {}\n"

    assert (
        written(layout, text.format("10.1.2.3")).settings("server", layout).text("CONTROL_HOST") == "127.0.0.1,10.1.2.3"
    )
    assert written(layout, text.format("lo")).settings("server", layout).text("CONTROL_HOST") == "127.0.0.1"


def test_every_role_is_of_some_node() -> None:
    """And every key is read by a role that there is."""
    roles = frozenset().union(*NODES.values())

    assert roles == {"server", "media", "client", "alone"}
    assert [key.name for key in KEYS if not key.roles or not key.roles <= roles] == []
    assert len(NAMES) == len(KEYS) - 1


def test_an_interface_stands_for_its_address() -> None:
    """`lo` is 127.0.0.1; an address and a name stay as they are."""
    assert address_of("lo", "x") == "127.0.0.1"
    assert [address_of(text, "x") for text in ("10.1.2.3", "localhost", "::")] == ["10.1.2.3", "localhost", "::"]


@pytest.mark.parametrize("text", ["no such", "a..b", "x" * 300])
def test_what_is_no_interface_and_no_name_is_a_wrong_setting(layout: Layout, text: str) -> None:
    """A process ends with 78, and systemd does not try again: it never would work."""
    for role, key in (("server", "server-inet-interface"), ("media", "media-inet-interface")):
        with pytest.raises(ConfigurationFault, match=rf"^{key} must be a network interface of this host, .*: .*lo"):
            written(layout, f"node primary-server\n{key} {text}\n").settings(role, layout)


def test_a_name_that_nobody_could_be_asked_for_is_none_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name servers come with the network, and so may an address: a service that starts early tries again."""

    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)

    assert address_of("backup.example", "x") == "backup.example"
    with pytest.raises(ConfigurationFault, match=r"^x must be a network interface of this host"):
        own_address("backup.example", "x")


def test_rb_init_takes_only_what_can_be_listened_on_now() -> None:
    """An address of documentation is no host's."""
    assert all(own_address(text, "-i") for text in ("lo", "127.0.0.9", "0.0.0.0", "localhost"))
    for text in ("192.0.2.77", "nosuch.invalid"):
        with pytest.raises(ConfigurationFault, match=f"^-i must be a network interface of this host.*'{text}' is none"):
            Plan("primary-server", interface=text).check()


def test_an_address_that_comes_later_has_to_be_told_as_such() -> None:
    """It moves between hosts, say; a name that nobody knows is none all the same."""
    with pytest.raises(
        ConfigurationFault, match="moves between hosts, or comes late: rb_init --free-bind, free-bind in"
    ):
        Plan("media-server", interface="192.0.2.77").check()
    Plan("media-server", interface="192.0.2.77", free_bind=True).check()
    with pytest.raises(ConfigurationFault, match=r"'nosuch\.invalid' is none"):
        Plan("media-server", interface="nosuch.invalid", free_bind=True).check()
    with pytest.raises(ConfigurationFault, match="--free-bind means nothing to the node client"):
        Plan("client", free_bind=True).check()


def test_config_check_notes_an_address_that_may_come(layout: Layout) -> None:
    """It is no problem, as somebody has said that it moves; what free-bind can be is told."""
    text = "node primary-server\nserver-inet-interface 192.0.2.77\nfree-bind {}\n"
    layout.config_file.write_text(text.format("yes"))
    report = check(layout)
    told = "server-inet-interface 192.0.2.77 is none of this host's addresses now; with free-bind it serves there once it is."
    assert told in report.notes
    assert not [one for one in report.problems if "interface" in one]
    layout.config_file.write_text(text.format("maybe"))
    assert [one for one in check(layout).problems if "free-bind must be True or False, not 'maybe'" in one]


def test_config_check_tells_where_nobody_can_listen(layout: Layout) -> None:
    """Both keys; what others look up is only noted, unless it can be no name."""
    for role in ("server", "media"):
        text = f"node primary-server\n{role}-inet-interface 192.0.2.77\nmedia-name nosuch.invalid\n"
        layout.config_file.write_text(text)

        report = check(layout)

        assert [one for one in report.problems if one.startswith(f"{role}-inet-interface must be a network interface")]
        assert (
            "media-name nosuch.invalid has no address on this host: is it one that every client knows?" in report.notes
        )

    layout.config_file.write_text("node primary-server\nmedia-name backup.example:9993\n")
    told = "media-name must be a host name or an address without a port, not 'backup.example:9993'."
    assert told in check(layout).problems


def test_a_folder_for_copies_of_its_own(layout: Layout) -> None:
    """use-local-backup-directory is the client's storage `local`, beside those that are named."""
    text = "node client\nuse-local-backup-directory /srv/my copies\nclient-defined-storages nas=/mnt/nas\n"

    found = written(layout, text).settings("client", layout)

    assert own_storages(found) == {"nas": Path("/mnt/nas"), "local": Path("/srv/my copies")}
