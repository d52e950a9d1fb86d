"""Samples of the inherited suite: hosts."""

from __future__ import annotations

import datetime as dt
import itertools

import httpx
from samples_schedule import three_rules

from rubackup.domain.permissions import Role
from support.api import Api
from support.fixtures import stock
from support.samples import Samples, unique

ADMINISTRATOR, MAINTAINER = frozenset({Role.ADMINISTRATOR}), frozenset({Role.MAINTAINER})
FIGURES = (
    "general_cpu_usage", "server_cpu_usage", "general_ram_usage", "server_ram_usage", "general_ram_usage_m",
    "server_ram_usage_m", "general_io_usage_r", "general_io_usage_w", "server_io_usage_r", "server_io_usage_w",
    "general_net_usage_r", "general_net_usage_w", "load_average",
)  # fmt: skip
_numbers = itertools.count(1)


def bandwidth_rows(api: Api) -> list[int]:
    """Three limits of three clients."""
    here = stock(api)
    return [
        here.insert("client_bandwidth", client_id=here.client(), backup_bandwidth=100 * n, window_end=dt.time(n))
        for n in (1, 2, 3)
    ]


def new_bandwidth(api: Api, **fields: object) -> dict[str, object]:
    """The guide's body of POST /client_bandwidth."""
    here = stock(api)
    limit = {
        "client": here.label(here.client()), "backup_bandwidth": 0, "restore_bandwidth": 0,
        "window_start": "14:33:31", "window_end": "14:33:31",
    }  # fmt: skip
    return {"data": limit | fields}


def rule_bandwidth_rows(api: Api) -> list[int]:
    """Three limits of three rules."""
    here = stock(api)
    return [
        here.insert("rule_bandwidth", rule_id=rule, backup_bandwidth=100 * n, window_end=dt.time(n))
        for n, rule in enumerate(three_rules(api), 1)
    ]


def client_log_rows(api: Api) -> list[int]:
    """Three lines of a client."""
    here = stock(api)
    client = here.client()
    row = here.row("SELECT id, group_id, hostname, hwid FROM clients WHERE id = $1", client)
    return [
        here.insert(
            "clients_log", client_id=client, client_group_id=row["group_id"], hostname=row["hostname"],
            hwid=row["hwid"], user_name="rubackup", action=action, text=unique("text"),
        )
        for action in ("authorised", "online", "edited")
    ]  # fmt: skip


def media_log_rows(api: Api) -> list[int]:
    """Three lines of a media server."""
    here = stock(api)
    row = here.row("SELECT id, hostname, hwid FROM media_servers WHERE id = $1", here.media_server())
    return [
        here.insert(
            "media_servers_log", media_server_id=row["id"], hostname=row["hostname"], hwid=row["hwid"],
            user_name="rubackup", action=action, text=unique("text"),
        )
        for action in ("authorised", "online", "edited")
    ]  # fmt: skip


def monitoring_rows(api: Api) -> list[int]:
    """Three records of one server."""
    hwid, now = f"{next(_numbers):064x}", dt.datetime.now(dt.UTC)
    return [
        stock(api).insert(
            "system_monitoring", hwid=hwid, hostname=unique("server"), server_type="server",
            timestamp_before=now + dt.timedelta(seconds=n), timestamp_after=now + dt.timedelta(seconds=n + 1),
            **{name: n + place / 8 for place, name in enumerate(FIGURES)},
        )
        for n in range(3)
    ]  # fmt: skip


def server_rows(api: Api) -> list[int]:
    """Two media servers, one with a client beside it."""
    here = stock(api)
    plain, paired = here.media_server(), here.media_server()
    here.client(hostname=here.named("media_servers", paired, "hostname").upper())
    return [2 * plain, 2 * paired, 2 * here.media_server()]


def resources(api: Api) -> httpx.Response:
    """The guide's body, for a module that there is."""
    body = {"client_hwid": stock(api).live_client(), "resource_type": "File system", "secret_method": 0}
    return api.post("/module_resource_list", {"data": body})


SAMPLES: dict[str, Samples] = {
    "rule_bandwidth": Samples(
        rows=rule_bandwidth_rows,
        create=lambda api: [
            {"data": {"rule": three_rules(api)[0], "window_start": "22:00:00", "window_end": "06:00:00"}},
            {"data": {"rule": three_rules(api)[0], "backup_bandwidth": 10_240, "restore_bandwidth": 1}},
        ],
        update=lambda api: [
            {"data": {"backup_bandwidth": 5, "restore_bandwidth": 6, "window_start": "23:59:59"}},
            {"data": {"rule": three_rules(api)[0], "window_end": "00:00:01"}},
        ],
        foreign=ADMINISTRATOR,
    ),
    "client_bandwidth": Samples(
        rows=bandwidth_rows,
        create=lambda api: [
            new_bandwidth(api),
            new_bandwidth(
                api, backup_bandwidth=10_240, restore_bandwidth=1, window_start="22:00:00", window_end="06:00:00"
            ),
            {"data": {"client": stock(api).client()}},
        ],
        update=lambda api: [
            {"data": {"backup_bandwidth": 5, "restore_bandwidth": 6, "window_start": "23:59:59"}},
            {"data": {"client": stock(api).label(stock(api).client()), "window_end": "00:00:01"}},
        ],
        foreign=ADMINISTRATOR,
    ),
    "clients_log": Samples(rows=client_log_rows, foreign=ADMINISTRATOR),
    "list_client_block_devices": Samples(
        rows=bandwidth_rows,
        actions={
            "list_client_block_devices": lambda api: api.post(
                "/list_client_block_devices", {"data": [{"client_hwid": stock(api).live_client(), "path": "/dev/"}]}
            )
        },
    ),
    "media_servers_log": Samples(rows=media_log_rows, foreign=MAINTAINER),
    "module_resource_list": Samples(rows=bandwidth_rows, actions={"module_resource_list": resources}),
    "rubackup_server_system_monitoring": Samples(rows=monitoring_rows),
    "servers_hw_id_tmp": Samples(rows=server_rows, foreign=MAINTAINER),
}  # fmt: skip
