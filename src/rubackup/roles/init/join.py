"""Joining an installation that is there: which node a host may become, which root it trusts, its first request."""

from __future__ import annotations

import asyncio

from rubackup.agent.link import AgentHost
from rubackup.domain.errors import Conflict
from rubackup.roles.init import folders
from rubackup.roles.init.database import certificate_of
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.bundle import READABLE_BY_ALL, put
from rubackup.roles.installed.config_file import AUTONOMOUS, ConfigFile
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.wire import pki
from rubackup.wire.control import enrol
from rubackup.wire.messages import EnrolGranted

_AGENTS = frozenset({"client", "media-server"})


def check_node(layout: Layout, plan: Plan) -> None:
    """Conflict when this host is something else already, with what to do about it."""
    if not layout.config_file.exists():
        return
    file = ConfigFile.load(layout.config_file)
    before, now = file.values.get("node", ""), plan.node
    if before in {"", now}:
        _same_folder(file, plan)
        return
    begin = f"This host is set up as {_article(before)} ({layout.config_file})"
    if before in _AGENTS and now in _AGENTS | {AUTONOMOUS}:
        what = "its copies stay with its server" if now == AUTONOMOUS else "its keys and settings stay"
        hint = f"stop and disable {_services(before)}, then add --change-node: it becomes {_article(now)}, {what}."
        if not plan.change:
            raise Conflict(f"{begin}. If you mean it: {hint}")
    elif before == AUTONOMOUS and now in _AGENTS:
        place = file.values.get("autonomous-directory", "its folder")
        if not plan.change:
            raise Conflict(
                f"{begin}, with catalogue and copies in {place}. To let it join a server: systemctl disable --now"
                f" rubackup_alone, then add --change-node. Nothing in {place} is lost: rubackup up --state {place} and"
                f" rb login --state {place} list and restore what lies there."
            )
    else:
        raise Conflict(
            f"{begin} and cannot become {_article(now)}: it holds the keys of its installation or those of another. Take"
            " another host, or begin anew: remove the packages with purge, which leaves copies, and install them again."
        )


def _same_folder(file: ConfigFile, plan: Plan) -> None:
    place = file.values.get("autonomous-directory", "")
    if plan.node == AUTONOMOUS and place and place != str(plan.alone) and not plan.change:
        raise Conflict(
            f"This host has its catalogue and copies in {place}. To begin anew in {plan.alone}, or to go on with a folder"
            f" that was moved there: systemctl stop rubackup_alone, then add --change-node. {place} stays as it is."
        )


def _article(node: str) -> str:
    return f"{'an' if node[:1] in 'aeiou' else 'a'} {node}"


def _services(node: str) -> str:
    return "rubackup_client" if node == "client" else "rubackup_client and rubackup_media"


def root(layout: Layout, plan: Plan) -> bytes | None:
    """The root certificate that the plan brings; ConfigurationFault when it brings none or another than this host has."""
    there = layout.root_certificate.read_bytes() if layout.root_certificate.exists() else None
    given = certificate_of(plan.root_ca, "--root-ca") if plan.root_ca is not None else None
    if given is None and there is None and not plan.fingerprint:
        raise ConfigurationFault(
            "Give --fingerprint (rb_init on the primary server prints it) or --root-ca FILE:"
            " this host connects to no server that it cannot recognise."
        )
    wanted = pki.root_fingerprint(given) if given is not None else plan.fingerprint.lower()
    if there is not None and wanted and pki.root_fingerprint(there) != wanted:
        raise Conflict(
            f"This host belongs to the installation whose root is {pki.root_fingerprint(there)}, not {wanted}. To let it"
            f" join another: stop its services, delete {layout.root_certificate} and the certificates (*.crt) below"
            f" {layout.root / 'keys'}, and run this again."
        )
    return given


def ask(layout: Layout, role: str, settings: Settings, tell: folders.Tell) -> None:
    """The first request for a certificate, so that the administrator sees the host before its services run."""
    if layout.certificate(role).exists():
        return
    host = AgentHost(
        role=role, hwid=settings.text("HWID"), hostname=settings.text("HOSTNAME"), key=layout.key(role),
        chain=layout.certificate(role), root=layout.root_certificate, servers=settings.servers(),
        data_endpoint=endpoint(settings) if role == "media" else "",
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


def endpoint(settings: Settings) -> str:
    """Where clients reach this host's media server."""
    return f"{settings.text('DATA_NAME', settings.text('DATA_HOST'))}:{settings.port('DATA_PORT')}"
