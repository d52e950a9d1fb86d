"""At DEBUG, through everything that knows a secret: none is in a log, on a console, in an argument or an environment."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from rubackup.catalog.database import DatabaseAddress
from support.databases import execute
from support.installed import SUPERUSER_PASSWORD, Installation
from support.s3server import ACCESS, SECRET, S3Server
from support.system import System

NAME = "nosecrets"
WRONG = "wrong-password-of-tests"
FORMS = (
    r"eyJ[\w-]{16,}\.eyJ[\w-]{16,}\.",  # a session token
    r"rbt_[\w-]{20,}",  # an API token
    r"PRIVATE KEY",
    r"SCRAM-SHA-256\$",
    r"(?i)signature['\"]?\s*[=:]\s*(?:b?['\"]|[0-9a-f]{16})",  # of a ticket, whole in a message
)
"""What a secret looks like, for those that the test never holds in its hands."""


@dataclass
class Known:
    """Every secret that came to light, by what it is."""

    secrets: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str) -> str:
        """Note a secret; the text itself."""
        assert len(text) >= 8, name
        self.secrets[name] = text
        return text

    def found_in(self, text: str) -> list[str]:
        """What of it stands in a text, as it is or as it stands in an address."""
        named = [
            name
            for name, secret in self.secrets.items()
            if any(form in text for form in {secret, quote(secret, safe="")})
        ]
        return named + [form for form in FORMS if re.search(form, text)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseAddress) -> Iterator[Installation]:
    """All services of an installation, every log at DEBUG, the API with two workers."""
    folder = tmp_path_factory.mktemp("nosecrets")
    installation = Installation.lay(folder / "opt")
    said = installation.init_primary(folder, postgres, NAME)
    installation.set_ports(postgres, NAME)
    layout = installation.layout
    (layout.root / "init.out").write_text(said)
    environment = layout.api_environment
    environment.write_text(environment.read_text().replace("DEBUG=False", "DEBUG=True\nWORKERS=2"))
    layout.config_file.write_text(layout.config_file.read_text().replace("#log-level INFO", "log-level DEBUG"))
    try:
        for role in ("server", "media", "client", "api"):
            installation.start(role)
        yield installation
    finally:
        installation.stop_all()
        execute(postgres, f"DROP DATABASE {NAME} WITH (FORCE)", f"DROP OWNED BY {NAME}", f"DROP ROLE {NAME}")


@pytest.fixture
def system(site: Installation) -> Iterator[System]:
    """Its API, logged in."""
    port = json.loads((site.layout.root / "api.ready").read_text())["port"]
    password = site.layout.root / "password"
    password.write_text(SUPERUSER_PASSWORD)
    facts = {
        "api": f"https://localhost:{port}", "ca_file": str(site.layout.root_certificate), "superuser": "rubackup",
        "password_file": str(password), "client": "",
    }  # fmt: skip
    found = System(site.layout.root, facts, NAME)
    found.facts["client"] = found.call("GET", "/clients")["data"]["items"][0]["client"]
    yield found
    found.http.close()


def sessions(system: System, known: Known) -> None:
    """Login, refresh, logout, wrong passwords, tokens where they do not belong; an API token; a user's password."""
    http = system.http
    body = {"rubackup_database": NAME, "rubackup_user": "rubackup", "password": SUPERUSER_PASSWORD}
    first = http.post("/auth/login", json=body).json()["data"]
    old = {
        "Authorization-Access-Token": f"Bearer {first['access_token']}", "Authorization": f"Bearer {first['refresh_token']}",
    }  # fmt: skip
    second = http.post("/auth/refresh", headers=old).json()["data"]
    for number, pair in enumerate((first, second)):
        for key in ("access_token", "refresh_token", "csrf_token"):
            known.add(f"{key} {number}", pair[key])
    assert http.post("/auth/login", json=body | {"password": known.add("wrong password", WRONG)}).status_code == 401
    broken = json.dumps(body | {"password": WRONG})[:-2]
    assert http.post("/auth/login", content=broken, headers={"content-type": "application/json"}).status_code == 400
    http.get("/clients", params={"access_token": first["access_token"], "csrf": first["csrf_token"]})
    http.get(f"/clients/{first['access_token']}")
    http.get("/clients", headers={"Authorization": f"Bearer {first['access_token']}x"})
    ended = {"Authorization": f"Bearer {second['access_token']}", "X-CSRF-TOKEN": second["csrf_token"]}
    assert http.delete("/auth/logout", headers=ended).status_code == 200
    token = known.add("API token", http.post("/tokens", json={"data": {"name": "t"}}).json()["data"]["token"])
    assert http.get("/clients", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    user = {
        "user": "anna", "user_password": known.add("user's password", "a-password-for-anna"), "fullname": "Anna",
        "email": "", "user_group": "Nobody",
    }  # fmt: skip
    http.post("/users", json={"data": user}, params={"role": "auditor"})


def copies(system: System, known: Known, folder: Path, s3: S3Server) -> None:
    """An encrypted copy, its restore and a link to one of its files; a bucket with its key, and one that is refused."""
    source = folder / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content" * 100_000)
    task = {
        "resource_type": "File system", "resource": str(source), "client": system.facts["client"], "backup_type": "full",
        "pool": "Default", "crypto": "aes-256-gcm", "priority": 100, "storage_duration": "1 Years", "archiving": False,
    }  # fmt: skip
    answer = system.call("POST", "/task_queue/", {"data": {"task": task}}, status=201)
    system.done(int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2]))
    record = system.records(source)[-1]["id"]
    assert system.gives_back(record, source, folder / "target")
    link = system.call("POST", f"/repository/{record}/file_link", {"data": {"path": f"{source}/file"}})
    url = link["data"]["url"]
    known.add("link to a file", re.split(r"[=/]", url)[-1])
    origin = system.facts["api"]
    assert system.http.get(url if url.startswith("http") else origin + url).status_code == 200

    pool = {"pool_name": "Cloud", "pool_type": "Cloud", "media_server": system.media_server()}
    system.call("POST", "/pool_list", {"data": pool | {"ignore_free_space_check": True}}, status=201)
    cloud = {
        "pool": "Cloud", "name": "archive", "endpoint": s3.endpoint, "bucket": "bucket", "access_key": ACCESS,
        "secret_key": known.add("key of a bucket", SECRET),
    }  # fmt: skip
    system.call("POST", "/storage_clouds", {"data": cloud | {"bucket": "none-there"}}, status=400)
    system.call("POST", "/storage_clouds", {"data": cloud}, status=201)
    plain = folder / "plain"
    plain.mkdir()
    (plain / "file").write_bytes(b"x" * 100_000)
    system.done(system.backup(plain, pool="Cloud"))


def enrolled(site: Installation, known: Known, folder: Path, postgres: DatabaseAddress) -> None:
    """A host of the API: the file that is carried over, what `--enroll` makes of it, and its expulsion."""
    admin = folder / "admin"
    admin.write_text(known.add("password of PostgreSQL's administrator", postgres.password))
    bundle = folder / "bundle"
    more = ("-X", str(admin), "--db-admin", postgres.user)
    said = site.run("rb_init", "--enroll-api", "127.0.0.4", "--to", str(bundle), *more)
    told = json.loads(bundle.read_text())
    known.add("password of a host of the API", told["database_password"])
    known.add("key of a host of the API", told["key"].splitlines()[1])
    other = Installation.lay(folder / "other")
    other.run("rb_init", "--folders", "api")
    environment = re.sub(r"DB_(?:NAME|USER)=.*\n|APP_PORT=.*\n", "", site.layout.api_environment.read_text())
    other.layout.api_environment.write_text(environment.replace("APP_HOST=localhost", "APP_HOST=127.0.0.4\nAPP_PORT=0"))
    said += other.run("rubackup_api", "--enroll", str(bundle))
    other.start("api")
    other.stop_all()
    said += site.run("rb_init", "--expel-api", "127.0.0.4", *more)
    for file in (*other.layout.root.glob("log/**/*.log"), *other.layout.root.glob("*.out")):
        said += file.read_text()
    (site.layout.root / "enrolled.out").write_text(said)


def stored(site: Installation, known: Known) -> None:
    """What lies in files: keys, passwords, the master key in the forms in which it might be written."""
    layout = site.layout
    known.add("password of the service database", layout.database_password.read_text().strip())
    known.add("secret of sessions", layout.token_secret.read_text().strip())
    known.add("password of the superuser", SUPERUSER_PASSWORD)
    for path in layout.root.glob("keys/**/*Key.key"):
        known.add(f"key {path.name}", path.read_text().splitlines()[1])
    text = layout.master_key.read_bytes()
    raw = max(re.findall(rb"[0-9a-fA-F]{64}|[A-Za-z0-9+/=]{40,}", text), key=len, default=text).decode(
        "ascii", "replace"
    )
    known.add("master key", raw)
    if re.fullmatch(r"[0-9a-fA-F]{64}", raw):
        known.add("master key, base64", base64.b64encode(bytes.fromhex(raw)).decode().rstrip("="))


def shown(site: Installation) -> dict[str, str]:
    """Everything that others may read: logs, consoles, arguments and environments of all our processes."""
    root = site.layout.root
    files = [path for path in [*root.glob("log/**/*"), *root.glob("*.out")] if path.is_file()]
    found = {str(path.relative_to(root)): path.read_text() for path in files}
    for role, process in site.running.items():
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in (str(process.pid), *tasks):
            for name in ("cmdline", "environ") if Path(f"/proc/{pid}").exists() else ():
                found[f"{name} of {role} {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    return found


def test_no_secret_is_shown(
    site: Installation, system: System, s3: S3Server, tmp_path: Path, postgres: DatabaseAddress
) -> None:
    """Whatever was done with it; and what was done is in the logs, so that they were really looked at."""
    known = Known()
    sessions(system, known)
    copies(system, known, tmp_path, s3)
    enrolled(site, known, tmp_path, postgres)
    stored(site, known)

    texts = shown(site)

    assert {place: found for place, text in texts.items() if (found := known.found_in(text))} == {}
    assert len(known.secrets) > 20
    assert len([place for place in texts if place.startswith("cmdline")]) >= 6
    access = texts["log/rubackup_api/access/rubackup-api.access.log"]
    assert access.count("refused: login") >= 1
    assert "logout of 'rubackup'" in access
    assert any("DEBUG" in text for place, text in texts.items() if place.startswith("log/"))


def test_the_search_finds_what_there_is() -> None:
    """A secret that was written is found, also as a part of an address, and those of unknown text by their form."""
    known = Known()
    known.add("one", "a secret/with+signs")

    assert known.found_in("GET /x?token=a%20secret%2Fwith%2Bsigns") == ["one"]
    assert known.found_in("Ticket(task=1, signature=b'\\x00')") == [FORMS[-1]]
    assert known.found_in("a line without any") == []
