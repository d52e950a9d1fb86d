"""Making this host's own media server and client known, and the pool Default with its first storage.

On a server this is done straight in the catalogue, by the same use cases as an administrator's calls.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import AsyncIterator
from pathlib import Path

from rubackup import __version__
from rubackup.agent.folders import Ground, check_folder, pool_of
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.lookups import StorageType
from rubackup.domain.permissions import Principal, Role
from rubackup.roles.init.folders import PRIVATE, USERS, acting_as, own
from rubackup.roles.installed.bundle import READABLE_BY_GROUP, put
from rubackup.roles.installed.config_file import read_hwid
from rubackup.roles.installed.layout import Layout
from rubackup.roles.up.faults import explained
from rubackup.server.signer import IssuingSigner
from rubackup.services import admission, enrolment, pool_list, storage_local_catalogs
from rubackup.services.change import changing
from rubackup.services.no_hosts import NoHosts
from rubackup.wire import pki

POOL = "Default"
_TABLES = {"media": "media_servers", "client": "clients"}
_MADE = "Made by rb_init"


class _ThisHost(NoHosts):
    """Asks nobody: the storage is a folder of this host."""

    def __init__(self, layout: Layout) -> None:
        self._ground = Ground((layout.state("media"), layout.root / "keys"))

    async def check_folder(self, media_hwid: str, path: str, pool_uuid: str, *, existing: bool = False) -> None:  # noqa: ARG002 - the port's
        """Whether the media server's user can make the folder a storage, which is made when missing; Invalid says why not."""
        folder = Path(path)
        with explained(f"Cannot make the folder {path}"):
            if not folder.exists() and not existing:
                folder.mkdir(mode=PRIVATE, parents=True)
                own(folder, USERS["media"])
        with acting_as(USERS["media"]):
            check_folder(path, pool_uuid, (), self._ground, existing=existing)


class OwnHosts:
    """The roles of this host in the catalogue."""

    def __init__(self, layout: Layout, address: DatabaseAddress, issuing: pki.Authority, hostname: str) -> None:
        self._layout = layout
        self._database = Database(address, size=2, application="rb_init")
        self._signer = IssuingSigner(issuing)
        self._hostname = hostname
        self._who = Principal(0, "rb_init", frozenset({Role.SUPERUSER}), address=hostname)

    async def register(self, role: str, data_endpoint: str) -> None:
        """Authorise media server or client with this host's key."""
        async with self._opened():
            await self._host(role, data_endpoint)

    async def make_pool(self, storage: Path) -> None:
        """Make the pool Default when there is none at all, and its storage when it has none."""
        async with self._opened():
            await self._pool(storage)

    async def take_place(self) -> None:
        """Be the media server and the client that the catalogue knows under this host's name, with keys of our own.

        For a host that replaces a lost one: pools, rules and copies stay those of the same media server and client.
        """
        async with self._opened():
            for role, table in _TABLES.items():
                await self._replace(role, table)

    async def _replace(self, role: str, table: str) -> None:
        async with changing(
            self._database, self._who, NoHosts(), method="INIT", path="rb_init --adopt-database", resource=table
        ) as change:
            find = f"SELECT id, hwid, fingerprint FROM {table} WHERE hostname = $1"  # noqa: S608 - one of _TABLES
            rows = await change.db.fetch(find, self._hostname)
            if len(rows) != 1:
                return
            (row,), csr = rows, self._request(role)
            fingerprint = pki.csr_fingerprint(csr)
            put(self._layout.hwid(role), f"{row['hwid']}\n".encode(), READABLE_BY_GROUP)
            change.row_ids.append(row["id"])
            change.before, change.after = {"fingerprint": row["fingerprint"]}, {"fingerprint": fingerprint}
            await change.db.execute(
                f"UPDATE {table} SET csr_pem = $2, fingerprint = $3 WHERE id = $1", row["id"], csr, fingerprint  # noqa: S608
            )  # fmt: skip
            if row["fingerprint"] != fingerprint:
                await admission.revoke(change.db, role, row["hwid"], f"{admission.REPLACED}rb_init --adopt-database")
                await change.wake("certificates")

    def _request(self, role: str) -> bytes:
        key = self._layout.key(role)
        if not key.exists():
            put(key, pki.new_key_pem())
        return pki.make_csr(key.read_bytes(), self._hostname)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        await self._database.open()
        try:
            yield
        finally:
            await self._database.close()

    async def _host(self, role: str, data_endpoint: str) -> None:
        chain = self._layout.certificate(role)
        if chain.exists():
            return
        answer = await self._ask(role, data_endpoint)
        if isinstance(answer, enrolment.Pending):
            await self._authorise(role)
            answer = await self._ask(role, data_endpoint)
        if isinstance(answer, enrolment.Granted):
            put(chain, answer.chain_pem)

    async def _ask(self, role: str, data_endpoint: str) -> enrolment.Pending | enrolment.Granted:
        csr = self._request(role)
        return await enrolment.ask(
            self._database, self._signer, role=role, hwid=read_hwid(role, self._layout), hostname=self._hostname,
            address="127.0.0.1", csr_pem=csr, fingerprint=pki.csr_fingerprint(csr), package_version=__version__,
            os_type="Linux", os_version=f"{platform.system()} {platform.release()}", data_endpoint=data_endpoint,
        )  # fmt: skip

    async def _authorise(self, role: str) -> None:
        family = "clients" if role == "client" else "media_servers"
        hosts = NoHosts()
        async with changing(self._database, self._who, hosts, method="INIT", path="rb_init", resource=family) as change:
            if role == "media":
                await enrolment.authorise_media_server(change, self._hostname)
                return
            waiting = "SELECT id FROM unauthorised_clients WHERE hwid = $1"
            rows = await change.db.fetch(waiting, read_hwid(role, self._layout))
            await enrolment.authorise_clients(change, [row["id"] for row in rows])

    async def _pool(self, storage: Path) -> None:
        async with self._database.connection() as db:
            if await db.fetchval("SELECT 1 FROM pools LIMIT 1"):
                return
        async with changing(
            self._database, self._who, _ThisHost(self._layout), method="INIT", path="rb_init", resource="pool_list"
        ) as change:
            new = pool_list.NewPool(
                pool_name=POOL, pool_type=StorageType.FILE_SYSTEM.label, media_server=self._hostname, description=_MADE,
                uuid=pool_of(storage),  # copies that lie there outlive a catalogue
            )  # fmt: skip
            await pool_list.create(change, new)
            place = storage_local_catalogs.NewStorage(path=str(storage.resolve()), pool=POOL, description=_MADE)
            await storage_local_catalogs.create(change, place)
