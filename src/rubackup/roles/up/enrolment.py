"""What makes an empty installation usable, done through the API as an administrator would do it.

Authorises this machine's client and media server, makes the pool `Default` and its first
storage. Every step looks first, so an interrupted run is completed by the next.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubackup.agent.folders import pool_of
from rubackup.domain.errors import RubackupError
from rubackup.roles.rest import RestClient, failed

POOL = "Default"


@dataclass
class Enrolment:
    """The steps; `advance` does what can be done now, without waiting for hosts."""

    api: RestClient
    client_hwid: str
    media_hwid: str
    storage: Path
    own_tools: bool = False
    problem: str = "the API does not answer yet"

    def advance(self) -> bool:
        """Whether everything is there. Call it again until it is; `problem` tells what is missing."""
        try:
            return self._media_server() and self._client() and self._pool() and self._storage() and self._tools()
        except RubackupError as error:
            if not failed(error):
                raise
            self.problem = error.message
            return False

    def _media_server(self) -> bool:
        if self._has("/media_servers", self.media_hwid):
            return True
        if not self._has("/unauthorised_media_servers", self.media_hwid):
            return self._waits("the media server has not asked for a certificate yet")
        self.api.post("/media_servers/authorize", {"data": {"hostname": socket.gethostname()}})
        return True

    def _client(self) -> bool:
        if self._has("/clients", self.client_hwid):
            return True
        waiting = self._rows("/unauthorised_clients", self.client_hwid)
        if not waiting:
            return self._waits("the client has not asked for a certificate yet")
        self.api.post("/clients/authorize", {"data": {"clients_ids": [waiting[0]["id"]]}})
        return True

    def _pool(self) -> bool:
        if any(row["pool_name"] == POOL for row in self.api.items("/pool_list")):
            return True
        pool = {
            "pool_name": POOL,
            "pool_type": "File system",
            "media_server": socket.gethostname(),
            "compression_type": "fast",
            "description": "Made at the first start",
            "uuid": pool_of(self.storage),  # copies that lie there outlive a catalogue
        }
        self.api.post("/pool_list", {"data": pool})
        return True

    def _storage(self) -> bool:
        folder = self.storage.resolve()  # the media server takes no path with symbolic links
        if any(Path(row["path"]).resolve() == folder for row in self.api.items("/storage_local_catalogs")):
            return True
        if not all(row["online"] for row in self._rows("/media_servers", self.media_hwid)):
            return self._waits("the media server is not connected yet")
        storage = {"path": str(folder), "pool": POOL, "description": "Made at the first start"}
        self.api.post("/storage_local_catalogs", {"data": storage})
        return True

    def _tools(self) -> bool:
        """Let the client's own tools work as its administrator's do: there is no other on such a host."""
        if self.own_tools:
            wanted = {
                "client_side_backup": True, "client_side_restore": True, "lrl_flag": True,
                "lsf_flag": True, "ls_pool": POOL,
            }  # fmt: skip
            (own,) = self._rows("/clients", self.client_hwid)
            self.api.call("PATCH", f"/clients/{own['id']}", {"data": wanted})
        return True

    def _has(self, path: str, hwid: str) -> bool:
        return bool(self._rows(path, hwid))

    def _rows(self, path: str, hwid: str) -> list[dict[str, Any]]:
        return list(self.api.items(path, filter_data=f'hwid="{hwid}"'))

    def _waits(self, problem: str) -> bool:
        self.problem = problem
        return False
