"""Installed programs below a prefix: rb_init, the four services from their configuration files, logs, new certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.authority import names_of
from support.databases import execute
from support.initialised import rows
from support.installed import SUPERUSER_PASSWORD, Installation
from support.system import System

NAME = "installed"


@dataclass
class Site:
    """One installation whose services run."""

    installation: Installation
    ports: dict[str, int]
    said: str
    """What rb_init said."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseAddress) -> Iterator[Site]:
    """Set up by rb_init and started by name; nothing of `rubackup up`."""
    folder = tmp_path_factory.mktemp("installed")
    installation = Installation.lay(folder / "opt")
    said = installation.init_primary(folder, postgres, NAME)
    ports = installation.set_ports(postgres, NAME)
    try:
        for role in ("server", "media", "client", "api"):
            installation.start(role)
        yield Site(installation, ports, said)
    finally:
        installation.stop_all()
        execute(postgres, f"DROP DATABASE {NAME} WITH (FORCE)", f"DROP ROLE {NAME}")


@pytest.fixture
def system(site: Site) -> Iterator[System]:
    """The tests' usual view of a system, logged in."""
    layout = site.installation.layout
    password = layout.root / "password"
    password.write_text(SUPERUSER_PASSWORD)
    facts = {
        "api": f"https://localhost:{site.ports['api']}", "ca_file": str(layout.root_certificate),
        "superuser": "rubackup", "password_file": str(password), "client": "",
    }  # fmt: skip
    system = System(layout.root, facts, NAME)
    system.facts["client"] = system.call("GET", "/clients")["data"]["items"][0]["client"]
    yield system
    system.http.close()


def test_a_copy_is_made_and_restored_by_installed_services(system: System, tmp_path: Path) -> None:
    """What rb_init and `--start` bring up backs up and gives back."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content" * 10_000)

    system.done(system.backup(source))

    record = system.records(source)[-1]["id"]
    assert system.gives_back(record, source, tmp_path / "target")


def test_rb_init_gives_the_advice_of_the_guide(site: Site) -> None:
    """It tells of superuser_reserved_connections and of the fingerprint that further hosts need."""
    assert "superuser_reserved_connections is 3; set it to 50" in site.said
    assert re.search(r"fingerprint [0-9a-f]{64}", site.said)


def test_rb_init_may_be_run_again(site: Site, tmp_path: Path, postgres: DatabaseAddress) -> None:
    """A second run changes no key, no certificate and no setting."""
    layout = site.installation.layout
    watched = [*layout.root.glob("keys/**/*"), layout.config_file]
    before = {path: path.read_bytes() for path in watched if path.is_file()}

    site.installation.init_primary(tmp_path, postgres, NAME, "-c", f"localhost:{site.ports['server']}")

    assert {path: path.read_bytes() for path in before} == before


def test_keys_belong_to_nobody_else(site: Site) -> None:
    """Private keys and passwords are readable by their owner, at most by the group of the catalogue."""
    layout = site.installation.layout
    secret = [path for path in layout.root.glob("keys/**/*") if re.search(r"Key\.key$|password$", path.name)]

    assert len(secret) >= 7
    assert {path.stat().st_mode & 0o077 for path in secret if path != layout.database_password} == {0}
    assert layout.database_password.stat().st_mode & 0o137 == 0


def test_the_start_says_what_the_guide_shows(site: Site) -> None:
    """Logger, the warning before the first login, the line with the address."""
    said = site.installation.output("api")

    assert said.startswith("RuBackup API Logger initializing\n")
    assert "[WARNING] - 'The rubackup database has not been initialized. Please authenticate'" in said
    assert f"[INFO] - 'RuBackup REST API is running on [https://localhost:{site.ports['api']}]'" in said


def test_a_second_start_is_refused(site: Site) -> None:
    """The process that runs is named, and goes on."""
    said = site.installation.run("rubackup_api", "--start", status=1)

    assert f"rubackup_api is already running (process {site.installation.running['api'].pid})" in said


def test_status_tells_the_process(site: Site) -> None:
    """`--status` and the bare word say the same; exit status 0 means that it runs."""
    for word in ("--status", "status"):
        said = site.installation.run("rubackup_media", word)
        assert said == f"rubackup_media is running (process {site.installation.running['media'].pid}).\n"


def test_incidents_of_login_are_in_the_access_log(site: Site) -> None:
    """A refused login stands there with name and address, without its password; a strange name cannot break the line."""
    body = {"rubackup_database": NAME, "rubackup_user": "eve\n[INFO] - forged", "password": "guessed-secret"}
    with site.installation.api(site.ports["api"]) as client:
        assert client.post("/auth/login", json=body).status_code == 401

    log = site.installation.layout.log("api") / "access/rubackup-api.access.log"
    lines = [line for line in log.read_text().splitlines() if "eve" in line]
    assert len(lines) == 1
    assert re.search(r"\[WARNING\] - 'login of 'eve\\n\[INFO\] - forged' from 127\.0\.0\.1: refused: login'$", lines[0])


def test_no_log_has_a_secret(site: Site, system: System) -> None:
    """Passwords, tokens and private keys are in no log, whatever was called."""
    layout = site.installation.layout
    secrets = [
        SUPERUSER_PASSWORD, "guessed-secret", layout.database_password.read_text().strip(),
        str(system.http.headers["Authorization"]).removeprefix("Bearer "), "PRIVATE KEY",
    ]  # fmt: skip
    logs = [path for path in [*layout.root.glob("log/**/*"), *layout.root.glob("*.out")] if path.is_file()]

    assert len(logs) >= 9
    assert [str(path) for path in logs for secret in secrets if secret in path.read_text()] == []


def test_the_configuration_is_looked_at(site: Site) -> None:
    """`rubackup config check` finds nothing wrong, and afterwards every wrong value at once, each with what is allowed."""
    assert "Nothing is wrong." in site.installation.run("rubackup", "config", "check")

    file = site.installation.layout.config_file
    good = file.read_text()
    file.write_text(good.replace("#parallelizm 8", "parallelizm many").replace("#log-level INFO", "log-level loud"))
    try:
        said = site.installation.run("rubackup", "config", "check", status=1)
    finally:
        file.write_text(good)

    assert "parallelizm must be a whole number" in said
    assert "log-level must be one of DEBUG, INFO, WARNING, ERROR" in said


def test_a_new_name_of_the_api_gets_a_certificate(site: Site) -> None:
    """APP_HOST that is exported wins over the file; where the issuing CA lies the start signs a leaf for it."""
    layout = site.installation.layout
    site.installation.running["api"].terminate()

    site.installation.start("api", APP_HOST="127.0.0.3")
    said = site.installation.run("rubackup_api", "--stop")
    site.installation.start("api")

    assert said == "rubackup_api was stopped.\n"
    assert "RuBackup REST API is running on [https://127.0.0.3:" in site.installation.output("api")
    assert "localhost" in names_of(layout.certificate("api"))


def test_stopping_leaves_nothing(site: Site) -> None:
    """`--stop` waits for the end of the process; then there is none."""
    process = site.installation.running.pop("client")

    assert site.installation.run("rubackup_client", "--stop") == "rubackup_client was stopped.\n"
    assert process.wait(120) == 0
    assert site.installation.run("rubackup_client", "--status", status=3) == "rubackup_client is not running.\n"
    site.installation.start("client")


def test_another_host_of_the_api_is_enrolled(site: Site, tmp_path: Path, postgres: DatabaseAddress) -> None:
    """A host without rb_init says in one sentence what it lacks; with the file of the primary server it serves."""
    primary = site.installation.layout
    other = Installation.lay(tmp_path / "other")
    other.run("rb_init", "--folders", "api")
    environment = re.sub(r"DB_(?:NAME|USER)=.*\n", "", primary.api_environment.read_text())
    other.layout.api_environment.write_text(
        re.sub(r"APP_PORT=\d+", "APP_PORT=0", environment.replace("APP_HOST=localhost", "APP_HOST=127.0.0.2"))
    )

    said = other.run("rubackup_api", "--start", status=78)
    assert "run rb_init --enroll-api 127.0.0.2 on the primary server" in said
    assert len(said.splitlines()) == 2

    bundle = tmp_path / "bundle"
    (tmp_path / "admin").write_text(postgres.password)
    administrator = ("-X", str(tmp_path / "admin"), "--db-admin", postgres.user)
    site.installation.run("rb_init", "--enroll-api", "127.0.0.2", "--to", str(bundle), *administrator)
    assert bundle.stat().st_mode & 0o777 == 0o600
    other.run("rubackup_api", "--enroll", str(bundle))
    try:
        other.start("api")
        assert "is running on [https://127.0.0.2:" in other.output("api")
    finally:
        other.stop_all()


def test_a_secondary_server_joins_with_its_file(
    site: Site, system: System, tmp_path: Path, postgres: DatabaseAddress
) -> None:
    """It signs with the same issuing CA, works on the same catalogue, and its media server is authorised there."""
    bundle = tmp_path / "bundle"
    site.installation.run("rb_init", "--enroll-server", "second.example", "--to", str(bundle))
    second = Installation.lay(tmp_path / "second")

    second.dialogue(
        [
            ("What is this host (1 to 5)?", "2"),
            ("File that rb_init --enroll-server wrote: ", str(tmp_path / "none")),
            ("--bundle must be a file, and there is no", str(bundle)),
            ("Host of PostgreSQL [localhost]: ", postgres.host),
            ("Network interface or address", ""),
        ],
        "--db-port", str(postgres.port), "--db-name", NAME, "--db-user", NAME, "--hostname", "second.example",
        "-c", f"localhost:{site.ports['server']}",
    )  # fmt: skip

    assert second.layout.issuing_key.read_bytes() == site.installation.layout.issuing_key.read_bytes()
    assert not second.layout.root_key.exists()
    assert not (second.layout.root / "keys/superuser-password").exists()  # the catalogue has its superuser
    assert names_of(second.layout.certificate("server")) == []
    media = system.call("GET", "/media_servers")["data"]["items"]
    assert {row["hostname"] for row in media} >= {"second.example"}


def test_a_client_waits_for_an_administrator(site: Site, system: System, tmp_path: Path) -> None:
    """rb_init needs the root or its fingerprint, asks at once, and prints the key that the administrator compares."""
    other = Installation.lay(tmp_path / "client")
    primary = f"localhost:{site.ports['server']}"
    assert "Give --fingerprint" in other.run("rb_init", "-n", "client", "-c", primary, status=78)
    wrong = "0" * 64
    assert "does not have the fingerprint" in other.run(
        "rb_init", "-n", "client", "-c", primary, "--fingerprint", wrong, status=1
    )
    found = re.search(r"fingerprint ([0-9a-f]{64})", site.said)
    assert found is not None

    said = other.dialogue(
        [
            ("What is this host (1 to 5)?", "client"),
            ("Host of the primary server: ", "a b"),
            ("-c must be a list of addresses", primary),
            ("Fingerprint of the root certificate: ", found[1][:-1]),
            ("--fingerprint must be the SHA-256 of the root certificate: 64 hex digits.", found[1]),
        ],
        "--hostname", "new.example", "-l", str(tmp_path),
    )  # fmt: skip

    (waiting,) = system.call("GET", "/unauthorised_clients")["data"]["items"]
    assert f"its key: {waiting['fingerprint']}" in said
    assert (
        waiting["hwid"]
        == other.run("rubackup_client", "hwid").splitlines()[2]
        == other.run("rubackup_client", "--hwid").strip()
    )
    assert other.layout.root_certificate.read_bytes() == site.installation.layout.root_certificate.read_bytes()


def test_a_media_server_waits_for_an_administrator(site: Site, system: System, tmp_path: Path) -> None:
    """It is asked where others reach it; a host that belongs to another installation is told so."""
    other = Installation.lay(tmp_path / "media")
    found = re.search(r"fingerprint ([0-9a-f]{64})", site.said)
    assert found is not None

    said = other.dialogue(
        [
            ("What is this host (1 to 5)?", "3"),
            ("Host of the primary server: ", f"localhost:{site.ports['server']}"),
            ("Fingerprint of the root certificate: ", found[1]),
            ("Network interface or address", "127.0.0.9"),
        ],
        "--hostname", "media.example",
    )  # fmt: skip

    (waiting,) = system.call("GET", "/unauthorised_media_servers")["data"]["items"]
    assert f"its key: {waiting['fingerprint']}" in said
    assert "\nmedia-name 127.0.0.9\n" in other.layout.config_file.read_text()
    said = other.run("rb_init", "-n", "media-server", "--fingerprint", "0" * 64, status=1)
    assert f"This host belongs to the installation whose root is {found[1]}" in said
    assert "add --change-node: it becomes a client" in other.run("rb_init", "-n", "client", status=1)
    assert "cannot become a primary-server" in other.run("rb_init", "-n", "primary-server", status=1)


def test_a_password_is_changed_and_a_block_is_lifted(
    site: Site, system: System, tmp_path: Path, postgres: DatabaseAddress
) -> None:
    """`--passwd` ends the user's sessions; `--unlock` says whether there was a block; both are in the audit."""
    other = tmp_path / "password"
    other.write_text("another-password")

    site.installation.run("rb_init", "--passwd", "-Y", str(other))
    try:
        assert system.http.get("/clients").status_code == 401
        body = {"rubackup_database": NAME, "rubackup_user": "rubackup", "password": "another-password"}
        assert system.http.post("/auth/login", json=body).status_code == 200
        with site.installation.api(site.ports["api"]) as client:
            client.post("/auth/login", json=body | {"rubackup_user": "nobody-there"})
        assert "may log in again" in site.installation.run("rb_init", "--unlock", "nobody-there")
        assert "was not blocked" in site.installation.run("rb_init", "--unlock", "nobody-there")
        audit = [row for row in rows(replace(postgres, database=NAME))["audit"] if "rb_init --" in row]
        assert [sum(f"rb_init --{act}" in row for row in audit) for act in ("passwd", "unlock")] == [1, 2]
        assert "another-password" not in str(audit)
        other.write_text("short")
        assert "8 to 1024 characters" in site.installation.run("rb_init", "--passwd", "-Y", str(other), status=78)
        other.write_text("another-password")
        assert "There is no user nobody" in site.installation.run(
            "rb_init", "--passwd", "--user", "nobody", "-Y", str(other), status=1
        )
    finally:
        other.write_text(SUPERUSER_PASSWORD)
        site.installation.run("rb_init", "--passwd", "-Y", str(other))
