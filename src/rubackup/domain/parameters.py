"""Extension parameters of backups and restores: what there is, of which kind, with which limits.

One table a module; the API checks a task against it, and the client's module takes its defaults from it.
`module_extensions` hold the parameters of the resource type's module, `common_modules_extensions`
those that every module knows. Keys are the guide's. A parameter that promises something that this
version does not do is `fixed`: it takes only the value that asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rubackup.domain.errors import Invalid
from rubackup.domain.lookups import ResourceType

Value = bool | int | str


@dataclass(frozen=True)
class Parameter:
    """One parameter; its kind is that of the default."""

    name: str
    default: Value
    description: str
    minimum: int = 0
    maximum: int = 0
    fixed: bool = False
    why: str = "is not served by this version"
    """Why a fixed one is."""
    choices: tuple[str, ...] = ()
    """What a string may be; empty: anything."""
    program: bool = False
    """A string that names a program of the client's host; empty for none."""

    @property
    def kind(self) -> str:
        """boolean, integer or string."""
        return {bool: "boolean", int: "integer", str: "string"}[type(self.default)]

    def problem(self, value: Any) -> str:
        """What is wrong with a value, as a sentence; '' when it is good."""
        if type(value) is not type(self.default):
            return f"must be {'an' if self.kind == 'integer' else 'a'} {self.kind}."
        if self.fixed and value != self.default:
            return f"{self.why}; only {_shown(self.default)} is taken."
        if self.kind == "integer" and not self.minimum <= int(value) <= self.maximum:
            return f"must be an integer from {self.minimum} to {self.maximum}."
        if self.choices and value not in self.choices:
            return f"must be one of: {', '.join(map(repr, self.choices))}."
        if self.program and value and not _is_plain_path(str(value)):
            return "must be empty or the absolute path of a program of the client, without '..'."
        return ""


Table = Mapping[str, Parameter]


def _table(*parameters: Parameter) -> Table:
    return {parameter.name: parameter for parameter in parameters}


COMMON_BACKUP = _table(
    Parameter("worker_parallelism", 8, "How many threads read and compress at most", 1, 1024),
    Parameter("enable_multithreading", False, "Whether several threads may be used; they are used in any case"),
    Parameter(
        "enable_flexible_dedup",
        False,
        "Whether large files are cut in larger chunks than usual: less work and a smaller index, coarser deduplication",
    ),
    Parameter("network_parallelism", 8, "How many requests to the media server wait for an answer at most", 1, 1024),
    Parameter("memory_threshold", 0, "Mebibytes that the client's process should not exceed; 0: no limit", 0, 2**31),
    Parameter("deny_memory_exceed", False, "Whether the task ends when the threshold is exceeded; else it slows down"),
)
COMMON_RESTORE = _table(
    Parameter("worker_parallelism", 8, "How many threads decompress and write at most", 1, 1024),
    Parameter("memory_threshold", 0, "Megabytes that the task should not exceed; 0: the client decides", 0, 2**31),
)
_FILE_SYSTEM_BACKUP = _table(
    Parameter("file_list", True, "Whether the files of the copy may be listed; it can be restored in any case"),
    Parameter("numeric_owner", False, "Whether owners are recorded by numbers alone, else by numbers and names"),
    Parameter("use_snapshot", False, "Whether a snapshot is read instead of the live folder"),
    Parameter(
        "ignore_errors_snapshot", True, "Whether the live folder is read when the snapshot fails; else the task ends"
    ),
    Parameter(
        "snapshot_type", "", "Type of the snapshot; empty: what the client has, which is lvm", choices=("", "lvm")
    ),
    Parameter("snapshot_size", 10, "Room for changes in the snapshot, in percent of the volume", 1, 100),
    Parameter("script_before_snapshot", "", "Program of the client, run before the snapshot", program=True),
    Parameter("script_after_snapshot", "", "Program of the client, run as soon as the snapshot is taken", program=True),
    Parameter("script_error_snapshot", "", "Program of the client, run when the snapshot fails", program=True),
)
_FILE_SYSTEM_RESTORE = _table(
    Parameter(
        "numeric_owner", False, "Whether owners are restored by their numbers, not by the names of the target host"
    ),
    Parameter(
        "new_name",
        "",
        "New name of what is restored; only for resources that have one",
        fixed=True,
        why="is for resources that have a name, and folders and files have none",
    ),
)

BACKUP: Mapping[str, Table] = {ResourceType.FILE_SYSTEM.label: _FILE_SYSTEM_BACKUP}
"""Parameters of a resource type's module for backups."""
RESTORE: Mapping[str, Table] = {ResourceType.FILE_SYSTEM.label: _FILE_SYSTEM_RESTORE}
"""Parameters of a resource type's module for restores."""


def problems(values: Mapping[str, Any], table: Table, prefix: str) -> dict[str, str]:
    """What is wrong with given parameters, by dotted field name below `prefix`."""
    found: dict[str, str] = {}
    for name, value in values.items():
        known = table.get(name)
        text = known.problem(value) if known else f"is unknown; known here: {', '.join(sorted(table))}."
        if text:
            found[f"{prefix}.{name}"] = text
    return found


def complete(values: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Every parameter of the table: what was given, else its default. Invalid when a given value is wrong."""
    if wrong := problems(values, table, "module_extensions.parameters"):
        raise Invalid(fields=wrong)
    return {name: values.get(name, parameter.default) for name, parameter in table.items()}


def _is_plain_path(text: str) -> bool:
    return text.startswith("/") and ".." not in text.split("/") and "\0" not in text


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
