"""Setting a host up as what it is to be: the steps of `rb_init`, each of which looks first."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from rubackup.agent.link import AgentHost
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import RubackupError
from rubackup.roles import authority
from rubackup.roles.init import database, folders
from rubackup.roles.init.hosts import OwnHosts
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.bundle import READABLE_BY_ALL, READABLE_BY_GROUP, place, put, read_bundle
from rubackup.roles.installed.certificate import renew
from rubackup.roles.installed.config_file import NODES, ConfigFile, render
from rubackup.roles.installed.environment import api_settings, app_host
from rubackup.roles.installed.interfaces import address_of
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.wire import pki
from rubackup.wire.certificates import load_certificates
from rubackup.wire.control import enrol
from rubackup.wire.messages import EnrolGranted

Tell = Callable[[str], None]


def set_up(layout: Layout, plan: Plan, tell: Tell) -> None:
    """Make this host what the plan says; `tell` is given a sentence for each thing that an administrator has to know."""
    plan.check()
    roles = set(NODES[plan.node]) | ({"api"} if plan.serves else set())
    folders.make(layout, roles)
    for role in sorted(roles):
        keep_hwid(layout, role)
    if plan.serves:
        _serve(layout, plan, tell)
    else:
        _join(layout, plan, tell)


def keep_hwid(layout: Layout, role: str) -> None:
    """The hardware id of a role on this host, random at first and then kept."""
    path = layout.hwid(role)
    if not path.exists():
        put(path, f"{secrets.token_hex(authority.HWID_BYTES[role])}\n".encode(), READABLE_BY_GROUP)


def _serve(layout: Layout, plan: Plan, tell: Tell) -> None:
    if plan.bundle is not None:
        place(layout, read_bundle(plan.bundle, "server"))
    issuing = keys(layout)
    for role, names in (("server", ()), ("api", (api_name(layout),))):
        if renew(layout, role, names):
            tell(f"A new certificate: {layout.certificate(role)}.")
    address = database.prepare(layout, plan)
    _write_config(layout, plan)
    settings = ConfigFile.load(layout.config_file).settings("media", layout)
    endpoint = f"{settings.text('DATA_NAME', settings.text('DATA_HOST'))}:{settings.port('DATA_PORT')}"
    hosts = OwnHosts(layout, address, issuing, settings.text("HOSTNAME"))
    asyncio.run(hosts.register(endpoint, plan.storage or layout.default_storage))
    fingerprint = pki.root_fingerprint(layout.root_certificate.read_bytes())
    tell(f"The root certificate has the SHA-256 fingerprint {fingerprint}; further hosts are given it (--fingerprint).")
    if not plan.superuser_password:
        tell(f"The superuser is rubackup; a first password lies in {database.password_file(layout)}.")
    for sentence in database.advise(address):
        tell(f"PostgreSQL: {sentence}")
    if plan.db_host not in database.LOCAL:
        tell(f"Set DB_HOST={plan.db_host} in {layout.api_environment} as well: the API does not read config.file.")


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


def _join(layout: Layout, plan: Plan, tell: Tell) -> None:
    """Tell the server of this host, whose administrator then authorises it."""
    if plan.root_ca is not None:
        put(layout.root_certificate, _certificate(plan.root_ca), READABLE_BY_ALL)
    if not layout.root_certificate.exists() and not plan.fingerprint:
        raise ConfigurationFault(
            "Give --fingerprint (rb_init on the primary server prints it) or --root-ca FILE:"
            " this host connects to no server that it cannot recognise."
        )
    _write_config(layout, plan)
    for role in sorted(NODES[plan.node]):
        _ask(layout, role, tell)


def _certificate(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        load_certificates(data)
    except OSError as error:
        raise ConfigurationFault(f"--root-ca: cannot read {path}: {error.strerror}.") from error
    except RubackupError as error:
        raise ConfigurationFault(f"--root-ca: {path}: {error.message}") from error
    return data


def _ask(layout: Layout, role: str, tell: Tell) -> None:
    """The first request for a certificate, so that the administrator sees the host before its services run."""
    settings = ConfigFile.load(layout.config_file).settings(role, layout)
    if layout.certificate(role).exists():
        return
    host = AgentHost(
        role=role, hwid=settings.text("HWID"), hostname=settings.text("HOSTNAME"), key=layout.key(role),
        chain=layout.certificate(role), root=layout.root_certificate, servers=settings.servers(),
        data_endpoint=_endpoint(settings) if role == "media" else "",
    )  # fmt: skip
    request = host.request()
    folders.own(host.key, folders.USERS[role])
    known = host.root if host.root.exists() else None
    trust = pki.enrolment_context(known, None if known else settings.text("ROOT_CA_FINGERPRINT"))
    where, port = host.servers[0]
    answer = asyncio.run(enrol(where, port, trust, request))
    if known is None and trust.root_pem is not None:
        put(host.root, trust.root_pem, READABLE_BY_ALL)
    if isinstance(answer, EnrolGranted):
        put(host.chain, answer.chain_pem)
        tell(f"The {role} of this host has its certificate.")
    else:
        tell(f"The {role} {host.hostname} ({host.hwid}) waits for an administrator; its key: {answer.fingerprint}.")


def _endpoint(settings: Settings) -> str:
    return f"{settings.text('DATA_NAME', settings.text('DATA_HOST'))}:{settings.port('DATA_PORT')}"


def _write_config(layout: Layout, plan: Plan) -> None:
    """The configuration file: what an administrator has written there stays, unless the plan says otherwise."""
    path = layout.config_file
    kept = dict(ConfigFile.load(path).values) if path.exists() else {}
    wanted = {"node": plan.node, "who-is-primary-server": plan.primary}
    if plan.hostname:
        wanted["hostname"] = plan.hostname
    if plan.fingerprint:
        wanted["root-ca-fingerprint"] = plan.fingerprint.lower()
    if plan.serves:
        wanted |= {
            "dbhost": plan.db_host, "dbport": str(plan.db_port), "dbname": plan.db_name, "user": plan.db_user,
        }  # fmt: skip
    if plan.interface and plan.node != "client":
        address = address_of(plan.interface, "-i")
        wanted["media-inet-interface"] = plan.interface
        wanted["media-name"] = plan.hostname or socket.gethostname() if address in {"0.0.0.0", "::"} else address  # noqa: S104
        if plan.serves:
            wanted["server-inet-interface"] = plan.interface
    put(path, render({**kept, **wanted}).encode(), READABLE_BY_ALL)


def catalogue_address(layout: Layout) -> DatabaseAddress:
    """Where the service database of this server is, as its configuration file says."""
    settings = ConfigFile.load(layout.config_file).settings("server", layout)
    return DatabaseAddress(
        host=settings.text("DB_HOST"), port=settings.port("DB_PORT"), user=settings.text("DB_USER"),
        password=settings.secret("DB_PASSWORD_FILE"), database=settings.text("DB_NAME"),
    )  # fmt: skip
