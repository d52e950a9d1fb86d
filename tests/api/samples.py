"""How to make rows of each resource, and calls that go well: what the inherited suite needs to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import samples_copies
import samples_hosts
import samples_kernel
import samples_requests
import samples_schedule
import samples_storage
import samples_strategies
import samples_tape

from rubackup.domain.permissions import Role
from rubackup.resources._examples import EXTENSIONS
from support.api import Api
from support.fixtures import Stock, stock
from support.samples import Samples, unique

ADMINISTRATOR, MAINTAINER = frozenset({Role.ADMINISTRATOR}), frozenset({Role.MAINTAINER})


def three(make: Callable[[Stock], int]) -> Callable[[Api], list[int]]:
    """Three rows of a kind."""
    return lambda api: [make(stock(api)) for _ in range(3)]


def accepted(answer: httpx.Response) -> httpx.Response:
    """An answer to a call that prepares another."""
    assert answer.status_code < 300, answer.text
    return answer


# --- users ---


def new_user(**fields: Any) -> dict[str, Any]:
    """A good body of POST /users."""
    user = {
        "group_id": "Nobody", "fullname": "Anna A.", "address": "", "tel": "1", "office": "", "email": "a@example.org",
        "username": unique("anna"), "user_password": "Testing12345*",
    }  # fmt: skip
    return {"data": user | fields}


def change_own_password(api: Api) -> httpx.Response:
    """A user changes the own password."""
    caller = api.user(unique("own"))
    return caller.patch("/users/change_password", {"new_password": "Another12345*"})


USERS = Samples(
    rows=lambda api: [api.add_user(unique("user")) for _ in range(3)],
    create=lambda api: [new_user(), new_user(group_id=stock(api).user_group(), email="")],
    create_query={"role": "supervisor"},
    update=lambda api: [
        {"data": {"fullname": "B", "tel": "2", "office": "o", "address": "a", "email": "b@example.org"}},
        {"data": {"group_id": stock(api).named("user_groups", stock(api).user_group(), "name")}},
        {"data": {"new_password": "Another12345*"}},
    ],
    unread=frozenset({"new_password"}),
    actions={"change_password": change_own_password},
)
USER_GROUPS = Samples(
    rows=three(Stock.user_group),
    create=lambda _api: [{"data": {"groupname": unique("group"), "description": "x"}}],
    update=lambda _api: [{"data": {"groupname": unique("group")}}, {"data": {"description": "y"}}],
)


def role_rows(family: str, body: Callable[[Api], dict[str, Any]]) -> Callable[[Api], list[int]]:
    """Three users with a role."""

    def rows(api: Api) -> list[int]:
        answers = [accepted(api.post(f"/{family}", body(api))) for _ in range(3)]
        return [int(answer.headers["location"].rpartition("/")[2]) for answer in answers]

    return rows


def granted(key: str, **covered: Callable[[Api], Any]) -> Callable[[Api], dict[str, Any]]:
    """The body that gives a new user a role."""

    def body(api: Api) -> dict[str, Any]:
        name = unique("user")
        api.add_user(name)
        return {"data": {key: name} | {other: make(api) for other, make in covered.items()}}

    return body


def role_samples(family: str, **covered: Callable[[Api], Any]) -> Samples:
    """The samples of a role's rows."""
    body = granted(family.removesuffix("s"), **covered)
    return Samples(rows=role_rows(family, body), create=lambda api: [body(api)])


# --- clients ---


CLIENT_GROUPS = Samples(
    rows=three(Stock.client_group),
    create=lambda _api: [
        {"data": {"name": unique("group")}},
        {
            "data": {
                "name": unique("group"), "shared": True, "clustered": True, "description": "some description",
                "launch_attempts_limit": 3,
            }
        },
    ],
    update=lambda _api: [
        {"data": {"name": unique("group"), "shared": True}},
        {"data": {"clustered": True, "description": "z", "launch_attempts_limit": 2}},
    ],
    foreign=ADMINISTRATOR,
)  # fmt: skip
CLIENTS = Samples(
    rows=three(Stock.client),
    update=lambda api: [
        {"data": {"description": "Client description", "storage_capacity": 10, "centralized_restore": False}},
        {"data": {"max_tasks": 3}},
        {"data": {"group_id": stock(api).named("client_groups", stock(api).client_group(), "name")}},
        {"data": {"ls_pool": stock(api).named("pools", stock(api).pool(), "pool_name"), "lsf_flag": True}},
        {"data": {"lrl_flag": True, "client_side_backup": False, "client_side_restore": False, "ls_pool": None}},
    ],
    actions={
        "post_clients_authorize": lambda api: api.post(
            "/clients/authorize", {"data": {"clients_ids": [stock(api).unauthorised_client()]}}
        ),
        "post_clients_tree": lambda api: api.post(
            "/clients/tree",
            {
                "data": {
                    "clients": [{"client_group_id": stock(api).client_group(), "clients_limit": 20, "clients_page": 1}],
                    "client_groups_page": 1, "client_groups_limit": 20, "filter_clients_hostname": "rubackup-client",
                }
            },
        ),
        "get_clients_id_resource_type": lambda api: api.get(f"/clients/{stock(api).client()}/resource_type"),
    },
    foreign=ADMINISTRATOR,
)  # fmt: skip
UNAUTHORISED_CLIENTS = Samples(rows=three(Stock.unauthorised_client))
LIST_CLIENT_FILESYSTEM = Samples(
    rows=three(Stock.client),
    actions={
        "list_client_filesystem": lambda api: api.post(
            "/list_client_filesystem", {"data": [{"client_hwid": stock(api).live_client(), "path": "/"}]}
        )
    },
)

# --- media servers, pools, storages ---


MEDIA_SERVERS = Samples(
    rows=three(Stock.media_server),
    update=lambda _api: [{"data": {"description": "rack 3", "max_tasks": 20}}, {"data": {"local_service_mode": "yes"}}],
    actions={
        "post_media_servers_authorize": lambda api: api.post(
            "/media_servers/authorize", {"data": {"hostname": stock(api).unauthorised_media_server_name()}}
        ),
        "get_media_servers_tree": lambda api: api.get("/media_servers/tree"),
        "get_media_servers_id_unknown_pools": lambda api: api.get(
            f"/media_servers/{stock(api).media_server()}/unknown_pools"
        ),
    },
    foreign=MAINTAINER,
)
MEDIA_SERVERS_WITH_TAPE = Samples(rows=three(Stock.tape_media_server), foreign=MAINTAINER)
UNAUTHORISED_MEDIA_SERVERS = Samples(rows=three(Stock.unauthorised_media_server))


def new_pool(api: Api, **fields: Any) -> dict[str, Any]:
    """A good body of POST /pool_list."""
    here = stock(api)
    media = here.named("media_servers", here.media_server(), "hostname")
    pool = {"pool_name": unique("pool"), "pool_type": "File system", "media_server": media}
    return {"data": pool | fields}


def served_pool(api: Api) -> int:
    """A new pool with a storage, on a media server."""
    return stock(api).pool_with_storage(media=stock(api).media_server())


POOL_LIST = Samples(
    rows=three(Stock.pool),
    create=lambda api: [
        new_pool(api),
        new_pool(
            api, compression_type="None", description="x", retention_period="1 year", ignore_free_space_check=True,
            algorithm="streebog", block_size=131072, hash_length=256, meta_data_pool="Default",
            max_tasks=4,
        ),
    ],
    update=lambda _api: [
        {"data": {"pool_name": unique("pool"), "compression_type": "best", "description": "y"}},
        {"data": {"retention_period": "1 year", "ignore_free_space_check": True, "max_tasks": 5}},
        {"data": {"retention_period": "30 days"}},
        {"data": {"retention_period": None}},
    ],
    actions={
        "post_pool_list_id_cleaning": lambda api: api.post(f"/pool_list/{served_pool(api)}/cleaning"),
        "post_pool_list_id_reconciliation": lambda api: api.post(f"/pool_list/{served_pool(api)}/reconciliation"),
    },
    foreign=MAINTAINER,
)  # fmt: skip
POOLS_FOR_COPIES = Samples(rows=three(Stock.pool_with_storage), foreign=MAINTAINER)
STORAGE_LOCAL_CATALOGS = Samples(
    rows=three(Stock.storage),
    create=lambda api: [
        {
            "data": {
                "path": f"/rubackup/{unique('folder')}/",
                "pool": stock(api).named("pools", stock(api).pool(), "pool_name"),
                "description": "",
            }
        }
    ],
    update=lambda _api: [{"data": {"description": "z"}}],
    foreign=MAINTAINER,
)

# --- tasks ---


def backup_body(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /task_queue."""
    here = stock(api)
    task = {
        "resource_type": "File system", "resource": "/home/", "client": here.label(here.client()),
        "backup_type": "full", "pool": here.named("pools", here.pool_with_storage(), "pool_name"),
        "crypto": "nocrypt", "priority": 100, "storage_duration": "1 Years", "archiving": False,
    }  # fmt: skip
    return {"data": {"task": task | fields}}


def with_extensions(api: Api) -> dict[str, Any]:
    """The guide's long body."""
    body = backup_body(api)
    return {"data": body["data"] | EXTENSIONS}


def remove_failed(api: Api) -> httpx.Response:
    """Remove the tasks that ended in Error; there is one."""
    stock(api).task(status="Error")
    return api.delete("/task_queue/error")


TASK_QUEUE = Samples(
    rows=three(Stock.task),
    create=lambda api: [backup_body(api), with_extensions(api), backup_body(api, backup_type="incremental")],
    actions={
        "delete_task_queue_by_status": remove_failed,
        "get_task_queue_extension": lambda api: api.get("/task_queue/extension?resource_type=File system"),
    },
)
TASK_LOG = Samples(rows=three(Stock.task_line))
CLIENT_TASK_INFO = Samples(
    rows=three(Stock.task),
    actions={"client_task_info": lambda api: api.get(f"/client_task_info?task_id={stock(api).task()}")},
)
SERVER_TASK_INFO = Samples(
    rows=three(Stock.task),
    actions={"server_task_info": lambda api: api.get(f"/server_task_info?task_id={stock(api).task()}")},
)


def ordering(path: str, status: str) -> Samples:
    """A call on a task of this status."""
    return Samples(
        rows=three(Stock.task),
        actions={path: lambda api: api.post(f"/{path}", {"data": {"task_id": stock(api).task(status=status)}})},
    )


RESTART_TASK = Samples(
    rows=three(Stock.task),
    actions={
        "restart_task": lambda api: api.post(
            "/restart_task", {"data": {"tasks_ids": [stock(api).task(status="Error"), stock(api).task(status="Done")]}}
        )
    },
)

# --- the repository ---


def restore(api: Api, **fields: Any) -> httpx.Response:
    """A restore of a new copy to its own client, with the guide's body."""
    here = stock(api)
    record = here.record()
    client = here.row("SELECT client_id FROM repository WHERE id = $1", record)["client_id"]
    order = {
        "target_client": here.label(client), "destination_path": "/for_restore/", "data_deployment": False,
        "granular_restore_files": [""], "module_extensions": {"parameters": {"new_name": ""}},
        "common_modules_extensions": {"parameters": {"worker_parallelism": 8, "memory_threshold": 0}},
    }  # fmt: skip
    return api.post(f"/repository/{record}/restoring", {"data": {"restore_task": order | fields}})


def file_link(api: Api) -> httpx.Response:
    """A link to a file of a new copy."""
    return api.post(f"/repository/{stock(api).live_record()}/file_link", {"data": {"path": "/home/report"}})


REPOSITORY = Samples(
    rows=three(Stock.record),
    update=lambda _api: [{"data": {"store_until": "2034-09-07T22:06:09.801038Z"}}],
    actions={
        "post_repository_id_restoring": restore,
        "post_repository_id_verification": lambda api: api.post(f"/repository/{stock(api).record()}/verification"),
        "post_repository_id_copying": samples_copies.to_another_pool("copying"),
        "post_repository_id_moving": samples_copies.to_another_pool("moving"),
        "get_repository_id_file": lambda api: api.get(f"/repository/{stock(api).live_record()}/file?path=/home/report"),
        "post_repository_id_file_link": file_link,
        "post_repository_deletion_reference_chain": lambda api: api.post(
            "/repository/deletion_reference_chain", {"ids": [stock(api).record()]}
        ),
        "get_repository_extension": lambda api: api.get("/repository/extension"),
    },
)
REPOSITORY_LOG = Samples(rows=three(Stock.record_line))
REPOSITORY_RECORD_FILE_LIST = Samples(
    rows=three(Stock.record),
    actions={
        "repository_record_file_list": lambda api: api.get(
            f"/repository_record_file_list?id={stock(api).live_record()}&path=/home&page=1&limit=10"
        )
    },
)

SAMPLES: dict[str, Samples] = {
    "administrators": role_samples("administrators", client_group=lambda api: stock(api).client_group()),
    "auditors": role_samples("auditors"),
    "client_groups": CLIENT_GROUPS,
    "client_task_info": CLIENT_TASK_INFO,
    "clients": CLIENTS,
    "continue_task_working": ordering("continue_task_working", "Paused"),
    "global_configuration": Samples(
        rows=three(Stock.task),
        actions={
            "read_global_configuration": lambda api: api.get("/global_configuration"),
            "update_global_configuration": lambda api: api.patch(
                "/global_configuration", {"data": samples_copies.GUIDES_CONFIGURATION}
            ),
            "service_mode": lambda api: api.patch("/global_configuration/service_mode", {"service_mode": False}),
        },
    ),
    "kill_task": ordering("kill_task", "New"),
    "list_client_filesystem": LIST_CLIENT_FILESYSTEM,
    "maintainers": role_samples("maintainers", media_server=lambda api: stock(api).media_server()),
    "media_servers": MEDIA_SERVERS,
    "media_servers/filtered_by_tape_library_pool": MEDIA_SERVERS_WITH_TAPE,
    "pool_list": POOL_LIST,
    "pool_list/available_for_copy_or_move": POOLS_FOR_COPIES,
    "put_task_on_pause": ordering("put_task_on_pause", "New"),
    "repository": REPOSITORY,
    "repository_log": REPOSITORY_LOG,
    "repository_record_file_list": REPOSITORY_RECORD_FILE_LIST,
    "restart_task": RESTART_TASK,
    "server_hello": Samples(rows=three(Stock.task), actions={"server_hello": lambda api: api.get("/server_hello")}),
    "server_state": Samples(rows=three(Stock.task), actions={"server_state": lambda api: api.get("/server_state")}),
    "server_task_info": SERVER_TASK_INFO,
    "storage_local_catalogs": STORAGE_LOCAL_CATALOGS,
    "supervisors": role_samples("supervisors"),
    "task_log": TASK_LOG,
    "task_queue": TASK_QUEUE,
    "unauthorised_clients": UNAUTHORISED_CLIENTS,
    "unauthorised_media_servers": UNAUTHORISED_MEDIA_SERVERS,
    "user_groups": USER_GROUPS,
    "users": USERS,
    **samples_schedule.SAMPLES,
    **samples_strategies.SAMPLES,
    **samples_storage.SAMPLES,
    **samples_tape.SAMPLES,
    **samples_hosts.SAMPLES,
    **samples_kernel.SAMPLES,
    **samples_copies.SAMPLES,
    **samples_requests.SAMPLES,
}
