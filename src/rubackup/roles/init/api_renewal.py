"""On a host of the API alone: another certificate from a server, before the one that it has ends.

It is asked for over a connection with the certificate that there is; one that was revoked, or has ended, gets none.
"""

from __future__ import annotations

import asyncio
import socket
from datetime import datetime

from rubackup import __version__
from rubackup.domain.errors import Refused, RubackupError, Unavailable, WireFault
from rubackup.roles import authority
from rubackup.roles.init.folders import Tell
from rubackup.roles.installed.config_file import read_hwid
from rubackup.roles.installed.environment import api_settings, app_host
from rubackup.roles.installed.layout import Layout
from rubackup.roles.installed.owners import give_to_owner_of
from rubackup.roles.settings import Settings
from rubackup.wire import pki
from rubackup.wire.certificates import load_certificates, require_grant
from rubackup.wire.control import ControlPeer, dial_control
from rubackup.wire.messages import PROTOCOL_VERSION, EnrolGranted, Hello, Message, RenewCertificate

DIAL_SECONDS = 5.0
ANSWER_SECONDS = 20.0


def renew(layout: Layout, tell: Tell, now: datetime | None = None) -> bool:
    """Whether there is another certificate. Nothing raises: what is there is good until its end, and a start waits."""
    if not layout.certificate("api").exists() or layout.issuing_key.exists():
        return False
    try:
        settings = api_settings(layout)
        host = app_host(settings)
        chain, key = layout.certificate("api"), layout.key("api")
        if settings.path("CERT_FILE") != chain or authority.covers(chain, key, [], now):
            return False
        files = pki.TlsFiles(key=key, chain=chain, root=settings.path("ROOT_CA_FILE"))
        request = pki.make_csr(key.read_bytes(), "api")
        found = asyncio.run(_ask(settings, files, request))
        require_grant(found, files.root.read_bytes(), request, "api", read_hwid("api", layout))
        _require_name(found, host)
    except (RubackupError, OSError, ValueError) as error:
        tell(f"The certificate {layout.certificate('api')} was not renewed: {error}")
        return False
    pki.write_private(chain, found)
    give_to_owner_of(chain.parent, chain)
    tell(f"A new certificate: {chain}.")
    return True


async def _ask(settings: Settings, files: pki.TlsFiles, request: bytes) -> bytes:
    """The chain that the first server gives which answers."""
    hello = Hello(version=PROTOCOL_VERSION, hostname=socket.gethostname(), package_version=__version__)
    context = pki.client_context(files)
    why = "no server is named"
    for host, port in settings.servers():
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                peer, _ = await dial_control(host, port, context, hello, _refuse)
        except (RubackupError, OSError, TimeoutError) as error:
            why = f"{host}:{port}: {error or 'no answer'}"
            continue
        try:
            answer = await peer.call(RenewCertificate(csr_pem=request), ANSWER_SECONDS)
        finally:
            peer.close()
            await peer.wait_closed()
        if not isinstance(answer, EnrolGranted):
            raise WireFault(f"The server answered by {type(answer).__name__}.")
        return answer.chain_pem
    raise Unavailable(f"No server answers ({why}).")


def _require_name(chain: bytes, host: str) -> None:
    """WireFault unless the new leaf is for the name that this host is called by."""
    names = authority.names_in(load_certificates(chain)[0])
    if host.lower() not in names:
        raise WireFault(f"The server signed a certificate for {', '.join(names)}, and APP_HOST is {host}.")


async def _refuse(_peer: ControlPeer, message: Message) -> Message:
    raise Refused(f"This program does not answer {type(message).__name__}.")
