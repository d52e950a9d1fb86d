"""The product's tools by their names: which family of the API each works on, what its tables show, what names a row.

Families without a tool are commands by their own name; what their tables show is chosen by `default_columns`.
"""

from __future__ import annotations

from dataclasses import dataclass

from rubackup.sdk.operations import OperationFacts, families

SHOWN = 8
"""How many columns a table has where nobody chose."""
KEYS = (
    "name",
    "pool_name",
    "username",
    "groupname",
    "hostname",
    "client",
    "hwid",
    "volume_tag",
    "device",
    "path",
    "uuid",
)
"""Columns that name a row, where nobody chose."""
NOT_SHOWN = (
    "uuid",
    "hwid",
    "fingerprint",
    "parameters",
    "description",
    "text",
    "module_extensions",
    "common_modules_extensions",
)


@dataclass(frozen=True)
class Tool:
    """A family of the API as an administrator knows it."""

    family: str
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    """Flags of the product's tool, with the command that each is."""


TOOLS: dict[str, Tool] = {
    "bandwidth": Tool("client_bandwidth", ("id", "client", "backup_bandwidth", "restore_bandwidth", "window_start", "window_end")),
    "block_devices": Tool(
        "storage_block_devices", ("id", "device", "pool", "media_server", "size_bytes", "free_bytes", "problem"), ("device",)
    ),
    "client_group": Tool(
        "client_groups", ("id", "name", "shared", "clustered", "launch_attempts_limit", "description"), ("name",)
    ),
    "clients": Tool(
        "clients", ("id", "client", "group_id", "online", "last_online", "os_type", "package_version"),
        ("hostname", "client", "hwid"),
    ),
    "clouds": Tool("storage_clouds", ("id", "name", "pool", "endpoint", "bucket", "object_lock", "problem"), ("name",)),
    "global_config": Tool("global_configuration"),
    "global_schedule": Tool(
        "global_schedule",
        ("id", "name", "status", "client_id", "resource_type", "resource", "backup_type", "pool_id", "storage_duration"),
        ("name",), (("-x", "execution"),),
    ),
    "inventory": Tool(
        "servers_hw_id_tmp", ("id", "hostname", "hwid", "server_type", "online", "license_type", "package_version"),
        ("hostname", "hwid"),
    ),
    "local_filesystems": Tool(
        "storage_local_catalogs", ("id", "path", "pool", "media_server", "used_bytes", "free_bytes", "total_bytes", "problem"),
        ("path",),
    ),
    "media_servers": Tool(
        "media_servers", ("id", "hostname", "online", "last_online", "local_service_mode", "max_tasks", "package_version"),
        ("hostname", "hwid"),
    ),
    "modules": Tool("resource_types", ("id", "name", "description"), ("name",)),
    "notifications": Tool("notifications", ("id", "created_at", "kind", "status", "user_group", "subject")),
    "pools": Tool(
        "pool_list",
        (
            "id", "pool_name", "pool_type", "media_server", "used_bytes", "free_bytes", "total_bytes", "emergency_used_bytes", "problem",
        ),
        ("pool_name",),
    ),
    "repository": Tool(
        "repository",
        ("id", "client", "resource", "backup_type", "pool", "size_bytes", "stored_bytes", "verification_status", "created_at"),
        ("uuid",),
    ),
    "strategies": Tool(
        "backup_strategies", ("id", "name", "status", "pool_id", "crypto", "validity_start_period", "validity_end_period"),
        ("name",),
    ),
    "tape_cartriges": Tool(
        "tape_cartridges", ("id", "volume_tag", "type", "pool", "tape_library", "slot", "tape_drive", "copies"), ("volume_tag",)
    ),
    "tape_libraries": Tool(
        "tape_libraries", ("id", "pool", "media_server", "medium_changer", "slots", "full_slots", "synced_at")
    ),
    "task_queue": Tool(
        "task_queue", ("id", "task_type", "status", "percent", "client", "resource", "backup_type", "pool", "created_at", "message")
    ),
    "tl_task_queue": Tool(
        "tl_task_queue", ("id", "task_type", "status", "media_server", "tape_library", "volume_tag", "created_at", "message")
    ),
    "user_groups": Tool("user_groups", ("id", "groupname", "description"), ("groupname",)),
    "users": Tool("users", ("id", "username", "role", "group_id", "fullname", "email", "last_success_login"), ("username",)),
}  # fmt: skip


ABOUT = {
    "bandwidth": "Limits of how fast clients send and receive; those of rules: rule_bandwidth.",
    "block_devices": "Block devices that pools lie on.",
    "client_group": "Groups of clients.",
    "clients": "Clients; those that wait to be let in: unauthorised_clients.",
    "cloud_task_queue": "Tasks of pools of the type Cloud.",
    "clouds": "Buckets that pools lie in.",
    "global_config": "The global configuration, and service_mode.",
    "global_schedule": "Rules: what is backed up when, how and where to; -x carries one out.",
    "inventory": "Servers, with their hardware ids, licences and versions.",
    "local_filesystems": "Folders that pools lie in.",
    "media_servers": "Media servers.",
    "modules": "Kinds of what can be backed up.",
    "notifications": "What was told to whom.",
    "pools": "Pools.",
    "repository": "Copies: verify, restore, copy, move, delete them, look into them.",
    "strategies": "Strategies: rules that several clients share.",
    "tape_cartriges": "Tapes.",
    "tape_libraries": "Robots with tapes.",
    "task_queue": "Tasks: kill, pause, continue, restart, wait for them.",
    "tl_task_queue": "Tasks of tape libraries.",
    "user_groups": "Groups of users that are told things.",
    "users": "Users; change_password of your own.",
}
"""What each of the product's tools is for."""


def tool_of(name: str) -> Tool | None:
    """The tool of a command: one of the product's, or a family of the API."""
    if found := TOOLS.get(name):
        return found
    named = next((tool for tool in TOOLS.values() if tool.family == name), None)
    return named or (Tool(name) if name in families() else None)


def operation(family: str, verb: str) -> OperationFacts | None:
    """A call of a family."""
    return next((one for one in families()[family]["operations"] if one["verb"] == verb), None)


def names_of_columns(listed: OperationFacts) -> list[str]:
    """All columns of a list."""
    return [column["name"] for column in listed.get("columns", [])]


def default_columns(tool: Tool, listed: OperationFacts) -> list[str]:
    """What a table shows unless told otherwise."""
    every = names_of_columns(listed)
    if tool.columns and listed["verb"] == "list":
        return list(tool.columns)
    kept = [c for c in every if not c.endswith("_ref")]
    if len(kept) <= SHOWN:
        return kept
    return [c for c in kept if c not in NOT_SHOWN][:SHOWN]


def keys_of(tool: Tool) -> list[str]:
    """Columns by whose value a row can be named, the likeliest first."""
    listed = operation(tool.family, "list")
    every = names_of_columns(listed) if listed else []
    return [key for key in (tool.keys or KEYS) if key in every]
