"""Setting a host up as what it is to be: the steps of `rb_init`, each of which looks first and may be repeated."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Conflict, RubackupError
from rubackup.roles import authority
from rubackup.roles.init import advice, alone, database, folders, join
from rubackup.roles.init.database import ServiceDatabase
from rubackup.roles.init.folders import Tell
from rubackup.roles.init.hosts import OwnHosts
from rubackup.roles.init.ownership import Installation
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.bundle import READABLE_BY_ALL, READABLE_BY_GROUP, Bundle, place, read_bundle
from rubackup.roles.installed.certificate import renew
from rubackup.roles.installed.config_file import AUTONOMOUS, NODES, ConfigFile, read_hwid, render
from rubackup.roles.installed.environment import api_settings, app_host
from rubackup.roles.installed.interfaces import address_of
from rubackup.roles.installed.layout import Layout
from rubackup.roles.process import database_address, workers
from rubackup.roles.settings import ConfigurationFault
from rubackup.roles.up.faults import explained
from rubackup.wire import pki


@dataclass(frozen=True)
class Step:
    """One step: killed after any of them, a host is completed by another run."""

    name: str
    work: Callable[[], object]


def set_up(layout: Layout, plan: Plan, tell: Tell) -> None:
    """Make this host what the plan says; `tell` is given a sentence for each thing that an administrator has to know.

    Whatever can be found to be wrong is found before anything is changed.
    """
    plan.check()
    kept = ConfigFile.load(layout.config_file).values if layout.config_file.exists() else {}
    plan = plan.completed(kept)
    join.check_node(layout, plan)
    if plan.serves:
        steps = _serve(layout, plan, tell)
    elif plan.node == AUTONOMOUS:
        steps = _alone(layout, plan, tell)
    else:
        steps = _join(layout, plan, tell)
    with _by_one(layout):
        folders.sweep(layout)
        for step in steps:
            step.work()


@contextlib.contextmanager
def _by_one(layout: Layout) -> Iterator[None]:
    """Hold the installation for one `rb_init` at a time; Conflict when another is at work."""
    folders.make(layout, ())
    with explained(f"Cannot hold {layout.root}"):
        descriptor = os.open(layout.root / "var/run/rb_init.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict("Another rb_init is at work on this host.") from None
    finally:
        os.close(descriptor)


def _serve(layout: Layout, plan: Plan, tell: Tell) -> list[Step]:
    roles = NODES[plan.node] | {"api"}
    bundle = read_bundle(plan.bundle, "server") if plan.bundle is not None else None
    if plan.node == "secondary-server" and bundle is None and not layout.issuing_key.exists():
        raise ConfigurationFault(
            "A secondary server needs --bundle FILE, which rb_init --enroll-server NAME writes on the primary server."
        )
    if bundle is not None and not plan.db_sslmode:
        plan = replace(plan, db_sslmode=bundle.database_sslmode)
    service = ServiceDatabase(
        layout, plan, lambda: installation(layout, bundle, adopt=plan.adopt),
        bundle.database_password if bundle else "", bundle.database_root if bundle else "",
    )  # fmt: skip
    service.inspect()

    def schema() -> None:
        if sentence := service.bring_schema():
            tell(sentence)

    return [
        Step("folders", lambda: folders.make(layout, roles)),
        Step("bundle", lambda: _place(layout, bundle)),
        Step("hardware ids", lambda: keep_hwids(layout, roles)),
        Step("issuing CA", lambda: keys(layout)),
        Step("certificate of the server", lambda: _renewed(layout, "server", (), tell)),
        Step("certificate of the API", lambda: _renewed(layout, "api", (api_name(layout),), tell)),
        Step("password of the database", service.keep_password),
        Step("root of the database", service.keep_root),
        Step("role and database", service.make),
        Step("schema", schema),
        Step("superuser", service.make_superuser),
        Step("config.file", lambda: write_config(layout, plan)),
        *(
            Step(name, lambda name=name: _register(layout, plan, service.address(), name))  # type: ignore[misc]
            for name in (*(("place of a lost host",) if plan.adopt else ()), "media server", "client", "pool")
        ),
        Step("advice", lambda: _advise(layout, plan, service.address(), tell)),
    ]


def installation(layout: Layout, bundle: Bundle | None = None, *, adopt: bool = False) -> Installation:
    """This host's, as it is now, or as the file of a secondary server brings it."""
    root = layout.root_certificate
    if bundle is not None:
        fingerprint = pki.root_fingerprint(bundle.root.encode())
    else:
        fingerprint = pki.root_fingerprint(root.read_bytes()) if root.exists() else ""
    media = read_hwid("media", layout) if layout.hwid("media").exists() else ""
    return Installation(fingerprint, media, adopt=adopt)


def _place(layout: Layout, bundle: Bundle | None) -> None:
    """What the file brought, unless the host has it: since then certificates may have been renewed."""
    if bundle is None:
        return
    paths = (layout.issuing_certificate, layout.certificate("server"), layout.database_password)
    if not all(path.exists() for path in paths) or layout.issuing_certificate.read_text() != bundle.issuing_certificate:
        place(layout, bundle)


def _renewed(layout: Layout, role: str, names: tuple[str, ...], tell: Tell) -> None:
    if renew(layout, role, names):
        tell(f"A new certificate: {layout.certificate(role)}.")


def _register(layout: Layout, plan: Plan, address: DatabaseAddress, what: str) -> None:
    settings = ConfigFile.load(layout.config_file).settings("media", layout)
    hosts = OwnHosts(layout, address, keys(layout), settings.text("HOSTNAME"))
    work: dict[str, Callable[[], Coroutine[None, None, None]]] = {
        "place of a lost host": hosts.take_place,
        "media server": lambda: hosts.register("media", join.endpoint(settings)),
        "client": lambda: hosts.register("client", ""),
        "pool": lambda: hosts.make_pool(plan.storage or layout.default_storage),
    }
    asyncio.run(work[what]())


def _advise(layout: Layout, plan: Plan, address: DatabaseAddress, tell: Tell) -> None:
    fingerprint = pki.root_fingerprint(layout.root_certificate.read_bytes())
    tell(f"The root certificate has the SHA-256 fingerprint {fingerprint}; further hosts are given it (--fingerprint).")
    if database.password_file(layout).exists() and not plan.superuser_password:
        tell(f"The superuser is rubackup; a first password lies in {database.password_file(layout)}.")
    for sentence in advice.advise(address, api_workers(layout)):
        tell(f"PostgreSQL: {sentence}")
    if plan.db_host not in database.LOCAL:
        tell(f"Set DB_HOST={plan.db_host} in {layout.api_environment} as well: the API does not read config.file.")


def api_workers(layout: Layout) -> int:
    """How many processes the API of this host has."""
    try:
        return workers(api_settings(layout))
    except RubackupError:
        return 1  # its own start tells what is wrong with the API's settings


def keep_hwids(layout: Layout, roles: Iterable[str]) -> None:
    """The hardware ids of roles on this host, random at first and then kept."""
    for role in sorted(roles):
        path = layout.hwid(role)
        if not path.exists():
            folders.settle(path, f"{secrets.token_hex(authority.HWID_BYTES[role])}\n".encode(), READABLE_BY_GROUP)


def keys(layout: Layout) -> pki.Authority:
    """The issuing CA of this installation; root and issuing CA are made when there are none."""
    issuing = authority.keep_issuing(
        layout.issuing_key, layout.issuing_certificate,
        lambda: authority.keep_root(layout.root_key, layout.root_certificate),
    )  # fmt: skip
    layout.root_certificate.chmod(READABLE_BY_ALL)
    for path in (layout.issuing_key, layout.issuing_certificate):
        folders.own(path, folders.USERS["server"])
    return issuing


def api_name(layout: Layout) -> str:
    """What the API of this host is to be called."""
    return app_host(api_settings(layout))


def _join(layout: Layout, plan: Plan, tell: Tell) -> list[Step]:
    roles = sorted(NODES[plan.node])
    root = join.root(layout, plan)
    return [
        Step("folders", lambda: folders.make(layout, roles)),
        Step("hardware ids", lambda: keep_hwids(layout, roles)),
        Step("root certificate", lambda: _trust(layout, root)),
        *(
            Step(role, lambda role=role: join.ask(layout, role, config(layout, plan).settings(role, layout), tell))  # type: ignore[misc]
            for role in roles
        ),
        Step(
            "config.file", lambda: write_config(layout, plan)
        ),  # last: a server that was not reached is not written down
    ]


def _trust(layout: Layout, root: bytes | None) -> None:
    if root is not None:
        folders.settle(layout.root_certificate, root, READABLE_BY_ALL)


def _alone(layout: Layout, plan: Plan, tell: Tell) -> list[Step]:
    state = alone.check(plan)
    return [
        Step("folders", lambda: alone.make_folder(layout, state)),
        Step("hardware ids", lambda: alone.keep_hwids(state)),
        Step("password", lambda: alone.keep_password(state, plan, tell)),
        Step("config.file", lambda: write_config(layout, plan)),
        Step("farewell", lambda: alone.farewell(layout, state, tell)),
    ]


def config(layout: Layout, plan: Plan) -> ConfigFile:
    """The configuration file as it is to be."""
    path = layout.config_file
    kept = dict(ConfigFile.load(path).values) if path.exists() else {}
    wanted = {"node": plan.node}
    if plan.node == AUTONOMOUS:
        assert plan.alone is not None
        wanted["autonomous-directory"] = str(plan.alone)
    else:
        kept.pop("autonomous-directory", None)
        wanted["who-is-primary-server"] = plan.primary
    if plan.local is not None:
        wanted["use-local-backup-directory"] = str(plan.local)
    if plan.hostname:
        wanted["hostname"] = plan.hostname
    if plan.fingerprint:
        wanted["root-ca-fingerprint"] = plan.fingerprint.lower()
    if plan.serves:
        wanted |= {
            "dbhost": plan.db_host, "dbport": str(plan.db_port), "dbname": plan.db_name, "user": plan.db_user,
        }  # fmt: skip
        if plan.db_sslmode:
            wanted["db-sslmode"] = plan.db_sslmode
    if plan.free_bind:
        wanted["free-bind"] = "True"
    if plan.interface and "media" in NODES[plan.node]:
        address = address_of(plan.interface, "-i")
        wanted["media-inet-interface"] = plan.interface
        wanted["media-name"] = plan.hostname or socket.gethostname() if address in {"0.0.0.0", "::"} else address  # noqa: S104
        if plan.serves:
            wanted["server-inet-interface"] = plan.interface
    return ConfigFile({**kept, **wanted}, path)


def write_config(layout: Layout, plan: Plan) -> None:
    """The configuration file: what an administrator has written there stays, unless the plan says otherwise."""
    folders.settle(layout.config_file, render(config(layout, plan).values).encode(), READABLE_BY_ALL)


def catalogue_address(layout: Layout) -> DatabaseAddress:
    """Where the service database of this server is, as its configuration file says."""
    file = ConfigFile.load(layout.config_file)
    if file.node == AUTONOMOUS:
        return alone.catalogue_address(layout)
    if "server" not in NODES[file.node]:
        raise ConfigurationFault(f"This host is a {file.node}, which opens no service database: do this on a server.")
    settings = file.settings("server", layout)
    return database_address(settings)
