"""An API on a host of its own: a role of PostgreSQL that is its alone, encrypted and verified, and shut out at once."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from rubackup.catalog import rights
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.cli import init, programs
from rubackup.domain.errors import RubackupError
from rubackup.roles.authority import names_in
from rubackup.roles.expiry import days_left
from rubackup.roles.init import api_renewal
from rubackup.roles.installed.layout import VARIABLE, Layout
from rubackup.wire import pki
from rubackup.wire.certificates import identity_of, load_certificates, serial_text
from rubackup.wire.control import dial_control
from rubackup.wire.messages import PROTOCOL_VERSION, Hello
from support.databases import execute
from support.installed import SUPERUSER_PASSWORD, Installation
from support.system import eventually
from support.tls_postgres import tls_postgres

NAME = "dedicated"
HOST = "127.0.0.2"
ROLE = f"{NAME}_api_{HOST}"


@dataclass
class Office:
    """A primary server whose PostgreSQL encrypts, and its administrator."""

    primary: Installation
    ports: dict[str, int]
    admin: DatabaseAddress
    root: Path

    def rb_init(self, *arguments: str, status: int = 0) -> str:
        """What `rb_init` says on the primary server when PostgreSQL's administrator asks."""
        (self.root / "admin").write_text(self.admin.password)
        return self.primary.run(
            "rb_init", *arguments, "-X", str(self.root / "admin"), "--db-admin", self.admin.user, status=status
        )

    def query(self, sql: str, *arguments: object) -> list[Any]:
        """Rows of the service database, as its administrator sees them."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(**replace(self.admin, database=NAME).arguments())
            try:
                return list(await connection.fetch(sql, *arguments))
            finally:
                await connection.close()

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The server alone runs; what it speaks with PostgreSQL is verified."""
    root = tmp_path_factory.mktemp("office")
    with tls_postgres(["localhost"], ["127.0.0.1"]) as tls:
        primary = Installation.lay(root / "primary")
        primary.init_primary(root, tls.address, NAME, "--db-root-cert", str(tls.root))
        ports = primary.set_ports(tls.address, NAME)
        primary.start("server")
        try:
            yield Office(primary, ports, tls.address, root)
        finally:
            primary.stop_all()


def lay(office: Office, folder: Path, host: str = HOST, **more: str) -> Installation:
    """A host with the packages alone; its settings name neither the database nor a role."""
    other = Installation.lay(folder)
    other.run("rb_init", "--folders", "api")
    values = {
        "APP_HOST": host, "APP_PORT": "0", "DB_HOST": office.admin.host, "DB_PORT": str(office.admin.port),
        "RB_SERVER_HOST": f"localhost:{office.ports['server']}", "DEBUG": "True", **more,
    }  # fmt: skip
    other.layout.api_environment.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return other


@pytest.fixture(scope="module")
def host(office: Office) -> Iterator[Installation]:
    """A host of the API with two workers, enrolled and running; the last test that has it expels it."""
    other = lay(office, office.root / "api", WORKERS="2")
    office.rb_init("--enroll-api", HOST, "--to", str(office.root / "bundle"), "--workers", "2")
    other.run("rubackup_api", "--enroll", str(office.root / "bundle"))
    other.start("api")
    try:
        yield other
    finally:
        other.stop_all()


def logged_in(other: Installation, *, asks: bool = False, at: str = HOST) -> int:
    """The status of a call that follows a login there; that of the login when it fails. `asks`: a call that asks a host."""
    port = json.loads((other.layout.root / "api.ready").read_text())["port"]
    body = {"rubackup_database": NAME, "rubackup_user": "rubackup", "password": SUPERUSER_PASSWORD}
    with other.api(port) as http:
        http.base_url = f"https://{at}:{port}/api/v1"
        answer = http.post("/auth/login", json=body)
        if answer.status_code == 200:
            data = answer.json()["data"]
            http.headers.update({"Authorization": f"Bearer {data['access_token']}", "X-CSRF-TOKEN": data["csrf_token"]})
            new = {"data": {"path": "/nowhere", "pool": "Default"}}
            answer = http.post("/storage_local_catalogs", json=new) if asks else http.get("/server_state")
        return int(answer.status_code)


def dial(layout: Layout, port: int) -> None:
    """Connect to the server with the certificate of an API."""

    async def refuse(_peer: object, _message: object) -> Any:
        raise AssertionError

    async def work() -> None:
        files = pki.TlsFiles(layout.key("api"), layout.certificate("api"), layout.root_certificate)
        hello = Hello(version=PROTOCOL_VERSION, hostname=HOST, package_version="0")
        peer, _ = await dial_control("127.0.0.1", port, pki.client_context(files), hello, refuse)
        peer.close()
        await peer.wait_closed()

    asyncio.run(work())


def access(layout: Layout) -> str:
    """What the bundle said of the service database."""
    return layout.database_access.read_text()


def test_the_host_has_a_role_of_its_own(office: Office, host: Installation) -> None:
    """It logs in as that, encrypted and verified, with rights on rows alone and no more connections than its workers need."""
    assert logged_in(host) == 200
    assert access(host.layout) == f"DB_NAME={NAME}\nDB_USER={ROLE}\nDB_SSLMODE=verify-full\n"
    assert host.layout.database_password.read_text() != office.primary.layout.database_password.read_text()

    sessions = office.query(
        """SELECT a.usename, s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)
           WHERE starts_with(a.application_name, 'rubackup_api')"""
    )
    assert {tuple(row) for row in sessions} == {(ROLE, True)}
    (role,) = office.query("SELECT * FROM pg_roles WHERE rolname = $1", ROLE)
    assert (role["rolconnlimit"], role["rolsuper"], role["rolcreaterole"], role["rolcreatedb"]) == (
        36,
        False,
        False,
        False,
    )
    may = office.query(
        """SELECT count(*) FILTER (WHERE has_table_privilege($1, c.oid, 'SELECT')) AS read,
                  count(*) FILTER (WHERE has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE')) AS written,
                  count(*) FILTER (WHERE has_table_privilege($1, c.oid, 'TRUNCATE, TRIGGER, REFERENCES')) AS more,
                  has_schema_privilege($1, 'public', 'CREATE') AS made, count(*) AS tables
           FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace""",
        ROLE,
    )[0]
    assert (may["read"], may["written"], may["more"], may["made"]) == (may["tables"], may["tables"] - 3, 0, False)


def own_role(office: Office, host: Installation) -> DatabaseAddress:
    """The service database as the host's role opens it."""
    password = host.layout.database_password.read_text().strip()
    return replace(office.admin, user=ROLE, password=password, database=NAME)


def owner_of(office: Office) -> DatabaseAddress:
    """The service database as the servers open it."""
    password = office.primary.layout.database_password.read_text().strip()
    return replace(office.admin, user=NAME, password=password, database=NAME)


def test_who_belongs_here_and_what_was_done_is_not_the_hosts_to_change(office: Office, host: Installation) -> None:
    """Neither its own traces nor those of others; an upgrade takes from older roles what they had, and no more."""
    refused = (
        "DELETE FROM issued_certificates", "UPDATE issued_certificates SET role = 'x'",
        "INSERT INTO issued_certificates (serial, role, hwid, not_after) VALUES ('1', 'api', '1', now())",
        "DELETE FROM revoked_certificates", "UPDATE revoked_certificates SET role = 'x'", "DELETE FROM api_hosts",
        "UPDATE api_hosts SET database_role = ''", "DELETE FROM audit", "UPDATE audit SET outcome = 'x'",
        "DELETE FROM schema_version",
    )  # fmt: skip
    role = own_role(office, host)

    def require_refused() -> None:
        for statement in refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                execute(role, statement)

    require_refused()
    owner = owner_of(office)
    execute(owner, f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {NAME}_api")

    async def guard() -> int:
        database = Database(owner)
        await database.open()
        try:
            return await rights.guard(database)
        finally:
            await database.close()

    assert asyncio.run(guard()) == 13
    require_refused()
    assert asyncio.run(guard()) == 0
    execute(role, "INSERT INTO revoked_certificates (serial, role, hwid, reason) VALUES ('none', 'media', '', '')")
    execute(owner, "DELETE FROM revoked_certificates WHERE serial = 'none'")


def test_the_settings_of_the_host_are_looked_at(office: Office, host: Installation) -> None:
    """What PostgreSQL lets this host's workers do is counted: more than its role may is told, with what to type."""
    fine = host.run("rubackup", "config", "check")
    assert "Nothing is wrong." in fine
    assert "may open" not in fine
    assert re.search(r"The certificate of PostgreSQL at \S+ ends in 0 days\.", fine)

    more = host.run("rubackup", "config", "check", WORKERS="5")

    assert (
        f"the role {ROLE} may open 36 connections, and 5 workers need 60: rb_init --enroll-api {HOST} --workers 5"
        in more
    )
    assert "one server and one API with 5 workers open up to 76" in more


def test_tables_of_a_later_version_are_the_roles_too(office: Office, host: Installation) -> None:
    """The server that brings the schema forward makes them; nobody has to be enrolled anew."""
    owner = owner_of(office)
    execute(owner, "CREATE TABLE later (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)")
    try:
        execute(
            own_role(office, host),
            "INSERT INTO later (text) VALUES ('x')",
            "UPDATE later SET text = 'y'",
            "DELETE FROM later",
        )
    finally:
        execute(owner, "DROP TABLE later")


def test_a_new_certificate_needs_no_outage(office: Office, host: Installation, tmp_path: Path) -> None:
    """`--renew-api` writes it alone: role and password stay, the one in use stays good, SIGHUP takes the new one."""
    before, password = host.layout.certificate("api").read_bytes(), host.layout.database_password.read_bytes()
    time.sleep(1.1)  # instants of certificates have no fractions

    office.rb_init("--renew-api", HOST, "--to", str(tmp_path / "renewed"))

    assert json.loads((tmp_path / "renewed").read_text())["database_password"] == ""
    assert logged_in(host) == 200
    reloaded = host.output("api").count("the certificate was reloaded")
    host.run("rubackup_api", "--enroll", str(tmp_path / "renewed"))
    assert host.layout.certificate("api").read_bytes() != before
    assert host.layout.database_password.read_bytes() == password
    host.running["api"].send_signal(1)
    eventually(lambda: host.output("api").count("the certificate was reloaded") == reloaded + 2, 10)
    assert logged_in(host) == 200
    assert office.query("SELECT 1 FROM revoked_certificates WHERE reason = 'enrolled anew'") == []


def test_a_certificate_renews_itself(office: Office, host: Installation) -> None:
    """By a server, when two thirds of its 45 days are over; the catalogue knows of it, names and hardware id stay."""
    said: list[str] = []
    chain, hwid = host.layout.certificate("api"), host.layout.hwid("api").read_text().strip()
    before = chain.read_bytes()
    assert 43 < days_left(chain) <= 45
    host.run("rb_init", "--renew")
    assert not api_renewal.renew(host.layout, said.append, datetime.now(UTC) + timedelta(days=29))
    assert (chain.read_bytes(), said) == (before, [])
    assert not api_renewal.renew(host.layout, said.append, datetime.now(UTC) + timedelta(days=31))
    assert "This API got a certificate within the last hour; it gets no other one yet." in said.pop()
    execute(owner_of(office), "UPDATE api_hosts SET enrolled_at = enrolled_at - interval '61 minutes'")

    assert api_renewal.renew(host.layout, said.append, datetime.now(UTC) + timedelta(days=31))

    assert said == [f"A new certificate: {chain}."]
    (leaf, _), (old, _) = load_certificates(chain.read_bytes()), load_certificates(before)
    assert identity_of(leaf.public_bytes(Encoding.DER)).hwid == hwid
    assert leaf.serial_number != old.serial_number
    assert set(names_in(leaf)) == set(names_in(old)) == {HOST, "localhost", "127.0.0.1"}
    (known,) = office.query("SELECT certificate_serial FROM api_hosts WHERE name = $1", HOST)
    assert known["certificate_serial"] == serial_text(leaf)
    (audit,) = office.query("SELECT path FROM audit WHERE method = 'RENEW'")
    assert audit["path"] == "RenewCertificate"
    dial(host.layout, office.ports["server"])


def test_a_host_that_cannot_ask_keeps_what_it_has(office: Office, host: Installation) -> None:
    """It is told why; the start goes on."""
    said: list[str] = []
    before = host.layout.certificate("api").read_bytes()
    settings = host.layout.api_environment.read_text()
    host.layout.api_environment.write_text(settings.replace(f":{office.ports['server']}", ":9"))
    try:
        assert not api_renewal.renew(host.layout, said.append, datetime.now(UTC) + timedelta(days=31))
    finally:
        host.layout.api_environment.write_text(settings)
    assert "was not renewed: No server answers (localhost:9: " in said[0]
    assert host.layout.certificate("api").read_bytes() == before


def test_enrolling_anew_ends_what_was_before(office: Office, tmp_path: Path) -> None:
    """Another password, and the certificate of the file that may have been lost is revoked."""
    name, role = "anew.example", f"{NAME}_api_anew.example"
    office.rb_init("--enroll-api", name, "--to", str(tmp_path / "first"))
    first = json.loads((tmp_path / "first").read_text())
    before = replace(office.admin, user=role, password=first["database_password"], database=NAME)
    execute(before, "SELECT 1 FROM users")

    office.rb_init("--enroll-api", name.upper(), "--to", str(tmp_path / "anew"))

    with pytest.raises(asyncpg.InvalidPasswordError):
        execute(before, "SELECT 1")
    (row,) = office.query("SELECT hwid FROM revoked_certificates WHERE reason = 'enrolled anew'")
    assert row["hwid"] == first["hwid"]
    office.rb_init("--expel-api", name)


def test_without_the_right_the_statements_are_told(office: Office, tmp_path: Path) -> None:
    """With no word that is a secret; typed by PostgreSQL's administrator they let the host in."""
    name, role, bundle = "typed.example", f"{NAME}_api_typed.example", tmp_path / "bundle"
    said = office.primary.run("rb_init", "--enroll-api", name, "--to", str(bundle))
    password = json.loads(bundle.read_text())["database_password"]
    assert "rb_init may not change roles in PostgreSQL" in said
    assert password not in said

    statements = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    execute(replace(office.admin, database=NAME), *statements)

    execute(replace(office.admin, user=role, password=password, database=NAME), "SELECT 1 FROM users")
    said = office.primary.run("rb_init", "--expel-api", name, status=1)
    assert f'DROP ROLE "{role}";' in said
    assert office.query("SELECT 1 FROM api_hosts WHERE name = $1", name) == []
    execute(office.admin, f'DROP ROLE "{role}"')


@pytest.mark.parametrize("action", ["--enroll-api", "--renew-api"])
def test_a_file_that_cannot_be_written_changes_nothing(office: Office, host: Installation, action: str) -> None:
    """The API that is there goes on: its certificate, its role and the password of that are as they were."""
    rows = ("SELECT * FROM api_hosts ORDER BY name", "SELECT * FROM issued_certificates ORDER BY serial", "SELECT * FROM revoked_certificates ORDER BY serial")  # fmt: skip
    before = [office.query(sql) for sql in rows]

    said = office.rb_init(action, HOST, "--to", "/nope/x", status=78)

    assert "Cannot write /nope/x: No such file or directory. Nothing was changed." in said
    assert [office.query(sql) for sql in rows] == before
    execute(own_role(office, host), "SELECT 1")


def test_a_change_that_fails_leaves_no_file(office: Office, host: Installation, tmp_path: Path) -> None:
    """The file is written before the change counts, and goes again with it; the password is as it was."""
    execute(owner_of(office), f"REVOKE INSERT ON audit FROM {NAME}")
    try:
        office.rb_init("--renew-api", HOST, "--to", str(tmp_path / "file"), status=1)
    finally:
        execute(owner_of(office), f"GRANT INSERT ON audit TO {NAME}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--enroll-api", ""), "The name of a host or its address is wanted, not ''"),
        (("--renew-api", ""), "The name of a host or its address is wanted, not ''"),
        (("--expel-api", ""), "The name of a host or its address is wanted, not ''"),
        (("--enroll-server", ""), "The name of a host or its address is wanted, not ''"),
        (("--enroll-api", "x:y"), "without a port"),
        (("--enroll-api", "localhost"), "localhost is every host's own name"),
    ],
)
def test_names_that_are_none_are_told(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Before anything is looked at."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert init.main(list(arguments)) == 78
    assert told in capsys.readouterr().err


def test_files_without_a_name_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of every argument that is a path."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for call, argument in (
        (lambda: init.main(["--enroll-api", "x", "--to", ""]), "--to"),
        (lambda: programs.main("api", ["--enroll", ""]), "--enroll"),
    ):
        with pytest.raises(SystemExit, match="2"):
            call()
        assert f"argument {argument}: must be the path of a file or folder" in capsys.readouterr().err


NOT_DONE = """
CREATE FUNCTION not_done() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.method = 'INIT' THEN RAISE 'not done' USING ERRCODE = 'serialization_failure'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER not_done AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION not_done()
"""


def test_a_commit_that_fails_leaves_all_as_it_was(office: Office, tmp_path: Path) -> None:
    """The commit is the last that can fail: password, certificate and file are made by it, or nothing is."""
    name, role = "commit.example", f"{NAME}_api_commit.example"
    office.rb_init("--enroll-api", name, "--to", str(tmp_path / "first"), "--workers", "3")
    first = json.loads((tmp_path / "first").read_text())
    before = replace(office.admin, user=role, password=first["database_password"], database=NAME)
    execute(owner_of(office), NOT_DONE)
    try:
        office.rb_init("--enroll-api", name, "--to", str(tmp_path / "anew"), status=1)
    finally:
        execute(owner_of(office), "DROP FUNCTION not_done CASCADE")

    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    execute(before, "SELECT 1 FROM users")
    (known,) = office.query(
        """SELECT a.hwid, r.rolconnlimit, EXISTS (SELECT 1 FROM revoked_certificates v WHERE v.hwid = a.hwid) AS revoked
           FROM api_hosts a JOIN pg_roles r ON r.rolname = a.database_role WHERE a.name = $1""",
        name,
    )
    assert tuple(known) == (first["hwid"], 48, False)

    office.rb_init("--enroll-api", name, "--to", str(tmp_path / "anew"))

    with pytest.raises(asyncpg.InvalidPasswordError):
        execute(before, "SELECT 1")
    again = json.loads((tmp_path / "anew").read_text())
    execute(replace(before, password=again["database_password"]), "SELECT 1 FROM users")
    (left,) = office.query(
        "SELECT rolconnlimit, pg_has_role($2, rolname, 'MEMBER') AS member FROM pg_roles WHERE rolname = $1", role, NAME
    )
    assert tuple(left) == (24, False)


def test_who_was_shut_out_by_half_gets_nothing_back(office: Office, tmp_path: Path) -> None:
    """Its role may not log in, and has its password still: a failed enrolment opens neither."""
    name, role = "half.example", f"{NAME}_api_half.example"
    office.rb_init("--enroll-api", name, "--to", str(tmp_path / "first"))
    first = json.loads((tmp_path / "first").read_text())
    before = replace(office.admin, user=role, password=first["database_password"], database=NAME)
    execute(office.admin, f'ALTER ROLE "{role}" NOLOGIN')
    execute(owner_of(office), NOT_DONE)
    try:
        office.rb_init("--enroll-api", name, "--to", str(tmp_path / "anew"), status=1)
    finally:
        execute(owner_of(office), "DROP FUNCTION not_done CASCADE")

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        execute(before, "SELECT 1")


def test_a_catalogue_without_the_row_takes_nobody_in(office: Office, tmp_path: Path) -> None:
    """As after the restore of one from before the enrolment, or when the host removed its traces before it was expelled."""
    name, bundle = "lost.example", tmp_path / "bundle"
    office.rb_init("--enroll-api", name, "--to", str(bundle))
    other = lay(office, tmp_path / "host", name)
    other.run("rubackup_api", "--enroll", str(bundle))
    dial(other.layout, office.ports["server"])
    hwid = json.loads(bundle.read_text())["hwid"]
    execute(owner_of(office), f"DELETE FROM issued_certificates WHERE hwid = '{hwid}'")
    with pytest.raises(RubackupError, match=r"rb_init --enroll-api \S+ on the primary server"):
        dial(other.layout, office.ports["server"])

    office.rb_init("--expel-api", name)

    with pytest.raises(RubackupError, match=r"rb_init --enroll-api \S+ on the primary server"):
        dial(other.layout, office.ports["server"])
    leaf = load_certificates(other.layout.certificate("api").read_bytes())[0]
    noted = f"VALUES ('{serial_text(leaf)}', 'api', '{hwid}', now() + interval '1 day')"
    execute(owner_of(office), f"INSERT INTO issued_certificates (serial, role, hwid, not_after) {noted}")
    with pytest.raises(RubackupError, match=r"rb_init --enroll-api \S+ on the primary server"):
        dial(other.layout, office.ports["server"])


def test_one_from_before_roles_is_shut_out_with_what_else_is_to_be_done(office: Office) -> None:
    """It is named by its hardware id, as it has no name; this host's own API is not meant."""
    hwid, own = "ef" * 32, office.primary.layout.hwid("api").read_text().strip()
    execute(
        owner_of(office), f"INSERT INTO api_hosts VALUES ('own:{hwid}', '{hwid}', '', 'ef1', now() + interval '9 days')"
    )

    said = office.primary.run("rb_init", "--expel-api", hwid.upper())

    assert office.query("SELECT 1 FROM api_hosts WHERE hwid = $1", hwid) == []
    assert (
        f"As PostgreSQL's administrator: \\password {NAME}; write that into {office.primary.layout.database_password}"
        in said
    )
    said = office.primary.run("rb_init", "--expel-api", own, status=1)
    assert "This is the hardware id of this host's own API." in said


def test_another_role_than_the_files_is_told(office: Office, tmp_path: Path) -> None:
    """A setting of an older installation: the password that came is not that role's."""
    other = lay(office, tmp_path / "api", DB_USER=NAME)
    other.layout.database_access.write_text(f"DB_NAME={NAME}\nDB_USER={ROLE}\n")

    said = other.run("rubackup_api", "--start", status=78)

    assert f"DB_USER is {NAME}" in said
    assert f"the password of {ROLE}" in said
    assert "leave DB_USER out" in said


def test_a_certificate_for_postgresql_is_signed(office: Office, tmp_path: Path) -> None:
    """It is for that name, ends when it says, and makes nobody a host of this system."""
    said = office.primary.run("rb_init", "--enroll-database", "db.example", "--to", str(tmp_path / "db"))

    assert "ssl = on" in said
    assert re.search(r"The certificate ends on \d{4}-\d\d-\d\d", said)
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "db").iterdir()}
    assert files == {"server.key": 0o600, "server.crt": 0o600, "root.crt": 0o600}
    assert "There is" in office.primary.run(
        "rb_init", "--enroll-database", "db.example", "--to", str(tmp_path / "db"), status=1
    )


def test_an_expelled_host_is_out_at_once(office: Office, host: Installation) -> None:
    """Its connections end, its role is gone, servers refuse its certificate; another host of the API notices nothing."""
    office.primary.start("api")
    assert logged_in(host, asks=True) == 503  # the media server does not run; the server that was asked does
    execute(owner_of(office), "DELETE FROM api_hosts WHERE database_role = ''")
    assert logged_in(office.primary, asks=True, at="localhost") == 503
    (own,) = office.query("SELECT hwid FROM api_hosts WHERE database_role = ''")
    assert own["hwid"] == office.primary.layout.hwid("api").read_text().strip()
    dial(office.primary.layout, office.ports["server"])

    said = office.rb_init("--expel-api", HOST)

    assert f"The role {ROLE} is gone" in said
    assert office.query("SELECT 1 FROM pg_stat_activity WHERE usename = $1", ROLE) == []
    assert office.query("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE) == []
    assert logged_in(host) == 503
    eventually(lambda: "loses its connection: it may not connect any more" in office.primary.output("server"), 10)
    with pytest.raises(RubackupError, match="The certificate was revoked"):
        dial(host.layout, office.ports["server"])
    assert {row["reason"] for row in office.query("SELECT reason FROM revoked_certificates WHERE role = 'api'")} >= {
        "expelled"
    }
    later: list[str] = []
    assert not api_renewal.renew(host.layout, later.append, datetime.now(UTC) + timedelta(days=31))
    assert "The certificate was revoked" in later[0]
    host.stop_all()
    assert "The service database does not let this process in" in host.run("rubackup_api", "--start", status=1)
    with office.primary.api(office.ports["api"]) as http:
        body = {"rubackup_database": NAME, "rubackup_user": "rubackup", "password": SUPERUSER_PASSWORD}
        assert http.post("/auth/login", json=body).status_code == 200
    office.primary.run("rubackup_api", "--stop")
    office.primary.running.pop("api").wait(120)
    said = office.rb_init("--expel-api", HOST, status=1)
    begin, _, others = said.partition("; there are: ")
    assert begin.endswith(f"No API was enrolled as {HOST}")
    assert others
    assert HOST not in others
