"""Every kind of caller at every listener, over real TLS with a real catalogue: the table of `docs/design/admission.md`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib.util
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.client import channels
from rubackup.domain.errors import Refused, RubackupError, Unavailable, WireFault
from rubackup.roles import api as api_role
from rubackup.server.pools import PoolSync
from rubackup.server.watch import CatalogueWatch
from rubackup.services import admission
from rubackup.services.admission import Caller
from rubackup.wire import control, pki
from rubackup.wire.data import DataConnection, connect_data
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    BackupOpened,
    Hello,
    MediaAddress,
    Message,
    OpenBackup,
    OpenRestore,
)
from support.callers import ANNEX, VAULT, Office, identity, office, tell_revoked
from support.control import raw_connection, read_message
from support.wire import SERVER, Installation

pytestmark = pytest.mark.postgres

HELLO = Hello(version=PROTOCOL_VERSION, hostname="host", package_version="2")
ANNA, BORIS, OLGA, NINA, IVAN = (f"{number:016x}" for number in range(1, 6))
LONG_SECONDS = 60.0
"""How long something is waited for that comes."""

TLS = "no TLS"
ENROL = "it must enrol first"
REVOKED = "The certificate was revoked."
REPLACED = "another key took the place"
STRANGE_KEY = "is authorised with another key"
UNKNOWN = "is not authorised"
RENEWED_API = "rb_init --enroll-api renewed.example on the primary server"
UNKNOWN_API = "rb_init --enroll-api NAME on the primary server"
NO_ROLE = "This role does not connect to a server"
IN = "admitted"
NO_DATA = "may not open a data session here"
NO_TICKET = "The ticket cannot be read"
NOT_ITS = "The ticket was given to another client"
OPEN = "opened"

REASONS = {"another key": "with another key than the one that is authorised", "another host": f"not media {ANNEX}"}

CELLS = {
    # caller: (server 9991, media server 9993 without a ticket, there with a ticket that was made out to this hardware id)
    "no certificate": (ENROL, TLS, TLS),
    "client that waits": (ENROL, TLS, TLS),
    "client that was refused": (ENROL, TLS, TLS),
    "client": (IN, NO_TICKET, OPEN),
    "client, the certificate before its renewal": (IN, NO_TICKET, OPEN),
    "client, deleted": (REVOKED, REVOKED, REVOKED),
    "client, deleted and authorised again, what it had before": (REVOKED, REVOKED, REVOKED),
    "client, deleted and authorised again": (IN, NO_TICKET, OPEN),
    "client, the key that was replaced": (REPLACED, REVOKED, REVOKED),
    "client, the key that replaced it": (IN, NO_TICKET, OPEN),
    "client, the replaced key after the restore of an older catalogue": (STRANGE_KEY, NO_TICKET, NOT_ITS),
    "client, deleted, after the restore of a catalogue that knows no certificate": (UNKNOWN, NO_TICKET, OPEN),
    "media server": (IN, NO_TICKET, OPEN),
    "media server, deleted": (REVOKED, REVOKED, REVOKED),
    "API of a server": (IN, NO_DATA, NO_DATA),
    "dedicated API": (IN, NO_DATA, NO_DATA),
    "dedicated API, the certificate before its renewal": (IN, NO_DATA, NO_DATA),
    "dedicated API, expelled": (REVOKED, NO_DATA, NO_DATA),
    "dedicated API, enrolled anew, what it had before": (REVOKED, NO_DATA, NO_DATA),
    "dedicated API, a certificate that the restored catalogue lacks": (RENEWED_API, NO_DATA, NO_DATA),
    "dedicated API, a host that the restored catalogue lacks": (UNKNOWN_API, NO_DATA, NO_DATA),
    "API that nobody noted": (UNKNOWN_API, NO_DATA, NO_DATA),
    "primary server": (NO_ROLE, NO_DATA, NO_DATA),
    "secondary server": (NO_ROLE, NO_DATA, NO_DATA),
    "our CA, a client's id and another key": (STRANGE_KEY, NO_TICKET, NOT_ITS),
    "our CA, a client's key and the id of a media server": (STRANGE_KEY, NO_TICKET, NOT_ITS),
    "our CA, a client with the id of a media server": (UNKNOWN, NO_TICKET, OPEN),
    "PostgreSQL's certificate": (TLS, TLS, TLS),
    "another CA, a client's id": (TLS, TLS, TLS),
    "self-signed, a client's id": (TLS, TLS, TLS),
    "signed by a client's leaf": (TLS, TLS, TLS),
    "expired, a client's key": (TLS, TLS, TLS),
    "not valid yet, a client's key": (TLS, TLS, TLS),
}  # fmt: skip

AGENTS = {
    "report_progress", "report_log", "report_finished", "renew_ticket", "record_sealed",
}  # fmt: skip
TAKEN = {
    "client": AGENTS | {
        "report_keys", "ask_own_client", "ask_own_rules", "ask_own_copies", "ask_own_tasks", "request_rule",
        "request_rule_deletion", "start_backup", "start_restore", "ask_deletion",
    },
    "media": AGENTS | {"report_sessions", "report_monitoring"},
    "api": {"relay", "renew_certificate"},
}  # fmt: skip
"""What a server takes of each kind of host, of all messages that there are."""


async def everybody(place: Office, folder: Path) -> dict[str, pki.TlsFiles | None]:
    """Callers by name; None comes without a certificate."""
    found: dict[str, pki.TlsFiles | None] = {"no certificate": None, "client that waits": None}
    assert await place.ask("client", IVAN, "waits", pki.new_key_pem()) is None
    assert await place.ask("client", f"{9:016x}", "refused", pki.new_key_pem()) is None
    await place.refuse("refused")
    found["client that was refused"] = None

    old = await place.enrolled("client", ANNA, "anna")
    key = old.key.read_bytes()
    found["client, the certificate before its renewal"] = old
    found["client"] = await place.ask("client", ANNA, "anna", key)

    found["client, deleted"] = await place.enrolled("client", BORIS, "boris")
    await place.delete("client", BORIS)

    again = await place.enrolled("client", OLGA, "olga")
    found["client, deleted and authorised again, what it had before"] = again
    await place.delete("client", OLGA)
    await place.authorise("client", "olga")
    found["client, deleted and authorised again"] = await place.ask("client", OLGA, "olga", again.key.read_bytes())

    found["client, the key that was replaced"] = lost = await place.enrolled("client", NINA, "nina")
    forgotten = await place.ask("client", NINA, "nina", lost.key.read_bytes())
    found["client, the replaced key after the restore of an older catalogue"] = forgotten
    found["client, the key that replaced it"] = await place.rekeyed("client", NINA, "nina")

    sixth = f"{6:016x}"
    never = found["client, deleted, after the restore of a catalogue that knows no certificate"] = await place.enrolled(
        "client", sixth, "zoe"
    )
    await place.delete("client", sixth)

    found["media server"] = await place.enrolled("media", ANNEX, "annex")
    found["media server, deleted"] = await place.enrolled("media", "a3" * 32, "attic")
    await place.delete("media", "a3" * 32)

    found["API of a server"] = await place.own_api("d1" * 32)
    found["dedicated API, the certificate before its renewal"] = await place.api("api.example", hwid="d2" * 32)
    found["dedicated API"] = await place.api("api.example", hwid="d2" * 32)
    found["dedicated API, expelled"] = await place.api("expelled.example")
    await place.expel("expelled.example")
    found["dedicated API, enrolled anew, what it had before"] = await place.api("anew.example")
    await place.api("anew.example")
    renewed = found["dedicated API, a certificate that the restored catalogue lacks"] = await place.api(
        "renewed.example"
    )
    unknown = found["dedicated API, a host that the restored catalogue lacks"] = await place.api("unknown.example")
    await place.execute("DELETE FROM api_hosts WHERE name = 'unknown.example'")
    assert unknown is not None
    for files in (forgotten, never, renewed):
        assert files is not None
        for table in ("issued_certificates", "revoked_certificates"):
            await place.execute(f"DELETE FROM {table} WHERE serial = $1", identity(files).serial)

    foreign = pki.make_issuing(pki.make_root(place.installation.now), place.installation.now)
    forger = pki.Authority(key, old.chain.read_bytes())
    return found | {
        "API that nobody noted": place.leaf("api", "d3" * 32),
        "primary server": place.server,
        "secondary server": place.leaf("server", "e2" * 32),
        "our CA, a client's id and another key": place.leaf("client", ANNA),
        "our CA, a client's key and the id of a media server": place.leaf("media", ANNEX, key),
        "our CA, a client with the id of a media server": place.leaf("client", ANNEX, key),
        "PostgreSQL's certificate": _postgres(place),
        "another CA, a client's id": place.leaf("client", ANNA, key, issuing=foreign),
        "self-signed, a client's id": place.self_signed("client", ANNA),
        "signed by a client's leaf": place.leaf("client", ANNA, key, issuing=forger),
        "expired, a client's key": place.leaf("client", ANNA, key, days_ago=400),
        "not valid yet, a client's key": place.leaf("client", ANNA, key, days_ago=-400),
    }


def _postgres(place: Office) -> pki.TlsFiles:
    key = pki.new_key_pem()
    issued = pki.issue_foreign(
        place.installation.issuing, pki.make_csr(key, "db"), name="db", now=place.installation.now, days=9,
        dns_names=["db"], addresses=[],
    )  # fmt: skip
    return place.files(key, issued.chain_pem)


async def at_server(place: Office, files: pki.TlsFiles | None) -> str:
    """What becomes of a caller at 9991."""
    if files is None:
        context = pki.Trust(place.installation.root.cert_pem, "").context()
        async with raw_connection(place.control, context) as (reader, writer):
            writer.write(control.framing.frame(HELLO))
            answer = await read_message(reader)
        return str(getattr(answer, "message", answer))
    try:
        peer = await dialled(place, files)
    except Refused as error:
        return TLS if "certificate is not accepted" in error.message else error.message
    except Unavailable as error:
        return TLS if "may not accept this host's certificate" in error.message else error.message
    peer.close()
    await peer.wait_closed()
    return IN


async def dialled(place: Office, files: pki.TlsFiles) -> control.ControlPeer:
    """A connection to the server."""
    peer, _ = await control.dial_control(*place.control, pki.client_context(files), HELLO, _ack)
    return peer


async def _ack(_peer: object, _message: Message) -> Message:
    return Ack()


async def at_media_server(place: Office, files: pki.TlsFiles | None, *, ticket: bool) -> str:
    """What becomes of a caller at 9993."""
    shown = b""
    if ticket and files is not None:
        with contextlib.suppress(WireFault):  # PostgreSQL's names nobody
            shown = await place.ticket(identity(files))
    return await asyncio.to_thread(_at_media_server, place, files, shown)


def _at_media_server(place: Office, files: pki.TlsFiles | None, ticket: bytes) -> str:
    trust = pki.Trust(place.installation.root.cert_pem, "")
    context = trust.context() if files is None else pki.client_context(files)
    try:
        connection = connect_data(*place.data, context, expect=("media", VAULT), timeout=LONG_SECONDS)
    except (Refused, Unavailable) as error:
        return error.message if "data session" in error.message else TLS
    try:
        return _open(connection, files, ticket)
    except RubackupError as error:
        return error.message
    finally:
        connection.close()


def _open(connection: DataConnection, files: pki.TlsFiles | None, ticket: bytes) -> str:
    """A client begins a backup, everybody else a restore: of a record that is not there, as who gets so far learns."""
    assert files is not None, "nobody gets here without a certificate"
    if identity(files).role == "client":
        connection.send(OpenBackup(version=PROTOCOL_VERSION, ticket=ticket))
        connection.expect(BackupOpened)
        return OPEN
    connection.send(OpenRestore(version=PROTOCOL_VERSION, ticket=ticket))
    with pytest.raises(RubackupError) as caught:
        connection.receive()
    return OPEN if "no record" in caught.value.message else caught.value.message


def told(wanted: str, got: str) -> str:
    """The sentence that was wanted, when it is in what was got."""
    return wanted if wanted in got else got


def test_everybody_at_every_listener(run: Any, tmp_path: Path) -> None:
    """Each cell of the table: a server's 9991, a media server's 9993 with and without a ticket."""

    async def scenario(database: Database) -> None:
        async with office(database, tmp_path) as place:
            callers = await everybody(place, tmp_path)
            await tell_revoked(place)
            assert list(CELLS) == [name for name in CELLS if name in callers]
            assert set(callers) == set(CELLS)
            found = {}
            for name, files in callers.items():
                wanted = CELLS[name]
                got = (
                    await at_server(place, files),
                    await at_media_server(place, files, ticket=False),
                    await at_media_server(place, files, ticket=True),
                )
                found[name] = tuple(told(*pair) for pair in zip(wanted, got, strict=True))
            assert found == CELLS

    run(scenario)


@pytest.mark.parametrize("case", ["the key", "any", "another key", "another host"])
def test_a_media_server_is_believed_with_its_key(run: Any, tmp_path: Path, case: str) -> None:
    """An order names the key with which the media server is authorised; one of an older server none."""

    async def scenario(database: Database) -> None:
        async with office(database, tmp_path) as place:
            files = await place.enrolled("client", ANNA, "anna")
            async with database.connection() as db:
                key = await db.fetchval("SELECT fingerprint FROM media_servers WHERE hwid = $1", VAULT)
            hwid = ANNEX if case == "another host" else VAULT
            told = {"the key": key, "any": "", "another key": identity(files).key, "another host": key}[case]
            address = MediaAddress(host=place.data[0], port=place.data[1], hwid=hwid, key=told)
            with (
                contextlib.nullcontext() if case in {"the key", "any"} else pytest.raises(Refused, match=REASONS[case])
            ):
                connection = await asyncio.to_thread(channels.connect, address, pki.client_context(files))
                connection.close()

    run(scenario)


def _samples() -> dict[str, Message]:
    """One message of every kind that there is, by its tag."""
    path = Path(__file__).parents[2] / "contract/wire/wire_samples.py"
    spec = importlib.util.spec_from_file_location("wire_samples_of_admission", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {module.tag_of(message): message for message in module.SAMPLES}


def test_what_a_server_takes_of_each(run: Any, tmp_path: Path) -> None:
    """Of all messages that there are, those that belong to the kind of host; a server has no use for the others."""

    async def scenario(database: Database) -> None:
        samples = _samples()
        async with office(database, tmp_path) as place:
            callers = {
                "client": await place.enrolled("client", ANNA, "anna"), "media": await place.enrolled("media", ANNEX, "annex"),
                "api": await place.api("api.example"),
            }  # fmt: skip
            taken: dict[str, set[str]] = {}
            for role, files in callers.items():
                peer = await dialled(place, files)
                taken[role] = set()
                for tag, message in samples.items():
                    try:
                        await peer.call(message, LONG_SECONDS)
                    except WireFault as error:
                        if "does not take this message from this host" in error.message:
                            continue
                    except RubackupError:
                        pass  # taken, and answered by what is wrong with it
                    taken[role].add(tag)
                peer.close()
                await peer.wait_closed()
            assert taken == TAKEN

    run(scenario)


def test_the_api_asks_nobody_for_a_certificate(tmp_path: Path) -> None:
    """At 5656 a certificate opens nothing and shuts nobody out: whoever it is has to log in."""
    installation = Installation(tmp_path)
    config = api_role._config(lambda: None, installation.files("api", "d" * 64))  # type: ignore[arg-type]
    assert config.ssl is not None
    assert config.ssl.verify_mode is ssl.CERT_NONE
    expired = installation.files("client", ANNA, now=installation.now - dt.timedelta(days=400))
    for files in (None, expired, installation.files("client", ANNA), installation.files("server", SERVER)):
        trust = pki.Trust(installation.root.cert_pem, "")
        dialling = trust.context() if files is None else pki.client_context(files)
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        caller = dialling.wrap_bio(back, there)
        callee = config.ssl.wrap_bio(there, back, server_side=True)
        for side in (caller, callee, caller, callee):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        caller.write(b"x")
        assert (callee.read(1), callee.getpeercert(binary_form=True)) == (b"x", None)


class _Woken:
    """What a watch wakes beside."""

    def wake(self) -> None:
        """Nothing is to be done."""

    changed = wake


@contextlib.asynccontextmanager
async def watched(place: Office) -> AsyncIterator[None]:
    """The server follows the catalogue."""
    others: Any = _Woken()
    pools = PoolSync(place.database, place.registry, lambda: 0)
    watch = CatalogueWatch(place.database, place.registry, others, others, pools, others)
    running = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_who_is_shut_out_loses_its_connection(run: Any, tmp_path: Path) -> None:
    """A deleted client and media server, one whose key was replaced, an expelled API with all its workers; nobody else."""

    async def scenario(database: Database) -> None:
        async with office(database, tmp_path) as place:
            goes = {
                "client": await place.enrolled("client", ANNA, "anna"), "key": await place.enrolled("client", NINA, "nina"),
                "media": await place.enrolled("media", ANNEX, "annex"), "api": await place.api("out.example"),
            }  # fmt: skip
            stays = {
                "client": await place.enrolled("client", BORIS, "boris"), "api": await place.api("in.example"),
                "own api": await place.own_api("d1" * 32),
            }  # fmt: skip
            gone = [await dialled(place, files) for files in (*goes.values(), goes["api"])]
            left = [await dialled(place, files) for files in stays.values()]
            async with watched(place):
                await place.delete("client", ANNA)
                await place.delete("media", ANNEX)
                await place.expel("out.example")
                await place.rekeyed("client", NINA, "nina")
                async with asyncio.timeout(LONG_SECONDS):
                    for peer in gone:
                        await peer.wait_closed()
                for peer in left:
                    with pytest.raises(WireFault):
                        await peer.call(Ack(), LONG_SECONDS)  # answered: it is there
            for peer in (*gone, *left):
                peer.close()
                await peer.wait_closed()

    run(scenario)


def test_who_is_shut_out_while_it_connects_loses_its_connection(run: Any, tmp_path: Path) -> None:
    """It was admitted, and was not among the connections yet when those of the deleted were ended."""

    async def scenario(database: Database) -> None:
        async with office(database, tmp_path) as place:
            files = {
                "client": await place.enrolled("client", ANNA, "anna"), "media": await place.enrolled("media", ANNEX, "annex"),
                "api": await place.api("out.example"),
            }  # fmt: skip
            admit, late = admission.admit, dict.fromkeys(files, False)

            async def shut_out_after(database: Database, caller: Caller) -> None:
                """The first question is answered, and then somebody shuts the host out."""
                await admit(database, caller)
                if not late[caller.role]:
                    late[caller.role] = True
                    await (
                        place.expel("out.example") if caller.role == "api" else place.delete(caller.role, caller.hwid)
                    )

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(admission, "admit", shut_out_after)
                for one in files.values():
                    peer = await dialled(place, one)
                    async with asyncio.timeout(LONG_SECONDS):
                        await peer.wait_closed()
            assert late == dict.fromkeys(files, True)
            rows = "SELECT (SELECT count(*) FROM client_presence WHERE online) + (SELECT count(*) FROM media_presence WHERE online)"
            async with asyncio.timeout(LONG_SECONDS), database.connection() as db:
                while await db.fetchval(rows):  # noqa: ASYNC110 - what follows the end of a connection is written by itself
                    await asyncio.sleep(0.05)

    run(scenario)
