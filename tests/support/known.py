"""Names that the product, its packages and its API really have."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import runpy
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import rubackup.sdk
from rubackup.domain import lookups
from rubackup.domain.errors import all_errors
from rubackup.domain.permissions import Permission, Role
from rubackup.roles.installed.config_file import KEYS as FILE_KEYS
from rubackup.roles.installed.config_file import LOCAL, NODES
from rubackup.roles.installed.environment import KNOWN
from rubackup.roles.installed.layout import PREFIX, Layout
from rubackup.sdk.operations import families
from rubackup.services.configuration import DEFAULTS
from rubackup.services.global_configuration import KEYS
from support import commands
from support.manual import ROOT
from support.sources import SOURCES, texts

PACKAGING = ROOT / "packaging"
ROLES = ("server", "media", "client", "api", "alone")
SETTING = re.compile(r"""\.(?:text|integer|number|choice|port|flag|path|folders|secret)\(\s*["']([A-Z][A-Z_]+)["']""")


@cache
def openapi() -> Any:
    """The description of the API."""
    return json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(one)


@cache
def fields() -> frozenset[str]:
    """Every field of a body and of an answer, and every parameter."""
    found: set[str] = set()
    for one in _objects(openapi()):
        if isinstance(one.get("properties"), dict):
            found |= one["properties"].keys()
        if isinstance(one.get("in"), str) and isinstance(one.get("name"), str):
            found.add(one["name"])
    return frozenset(found)


@cache
def headers() -> frozenset[str]:
    """Headers of requests and answers, in small letters."""
    found = re.findall(r"[A-Z][A-Za-z]+(?:-[A-Za-z]+)+", json.dumps(openapi()))
    return frozenset(name.casefold() for name in found) | {"authorization", "etag", "location", "range"}


@cache
def values() -> frozenset[str]:
    """Every value of a field with a fixed set of them, and every default of a setting."""
    found = {str(value) for one in _objects(openapi()) if isinstance(one.get("enum"), list) for value in one["enum"]}
    found |= {one.label for kind in lookups.Lookup.__subclasses__() for one in kind}
    found |= {choice for key in KEYS.values() for choice in key.choices}
    found |= {str(default).lower() for default in DEFAULTS.values()} | {key.default for key in FILE_KEYS}
    return frozenset({*found, *NODES, LOCAL, "true", "false", "True", "False"} - {""})


def settings() -> set[str]:
    """Variables that a process reads, and those of the tools."""
    found = {key for file in (SOURCES / "roles").rglob("*.py") for key in SETTING.findall(file.read_text("utf-8"))}
    found |= {
        text for text in texts() if re.fullmatch(r"(RUBACKUP|RB|DB|LOG|XDG)_[A-Z_]+|LOCAL_BACKUP_DIRECTORY", text)
    }
    return found | set(KNOWN)


def units() -> set[str]:
    """Units of the packages."""
    return {unit.name for unit in (PACKAGING / "units").iterdir()}


def _packaged() -> set[str]:
    """Packages, users of services, directives of units, loggers."""
    found = {package.name for package in runpy.run_path(str(PACKAGING / "packages.py"))["PACKAGES"]}
    for unit in (PACKAGING / "units").iterdir():
        text = unit.read_text(encoding="utf-8")
        found |= {*re.findall(r"^User=(.+)$", text, re.MULTILINE), *re.findall(r"^(\w+)=", text, re.MULTILINE)}
    logging = ConfigParser()
    logging.read(PACKAGING / "etc/rubackup_api_logger.conf")
    return found | set(logging["loggers"]["keys"].split(","))


def _metrics() -> set[str]:
    """Metrics, as code and Prometheus name them, and those that a process has by itself."""
    found = {text for text in texts() if re.fullmatch(r"rubackup_[a-z_…]+", text)}
    return found | {f"{name}_total" for name in found} | {"process_cpu_seconds_total"}


@cache
def sdk() -> dict[str, list[Any]]:
    """What a program can use of the client for Python: classes, methods and attributes by name."""
    found: dict[str, list[Any]] = {"rubackup.sdk": [None], "with": [None]}
    generated = [importlib.import_module(f"rubackup.sdk.api.{name}") for name in ("client_groups", "repository")]
    named = [getattr(rubackup.sdk, name) for name in rubackup.sdk.__all__]
    named += [one for module in generated for one in vars(module).values() if _ours(one)]
    for kind in (one for one in named if inspect.isclass(one)):
        found.setdefault(kind.__name__, []).append(kind)
        for base in (base for base in kind.__mro__ if base.__module__.startswith("rubackup.")):
            for name, one in vars(base).items():
                found.setdefault(name, []).append(inspect.unwrap(getattr(one, "__func__", one)))
            for name in {
                *vars(base).get("__annotations__", {}),
                *re.findall(r"self\.(\w+) = ", inspect.getsource(base)),
            }:
                found.setdefault(name, []).append(None)
    return {name: ones for name, ones in found.items() if not name.startswith("_")}


def _ours(one: Any) -> bool:
    return isinstance(one, type | FunctionType) and one.__module__.startswith("rubackup.")


@cache
def parameters(name: str) -> dict[str, set[Any]]:
    """The parameters of what is called so in the client for Python, with their defaults."""
    found: dict[str, set[Any]] = {}
    for one in sdk().get(name, []):
        if _ours(one) and not (isinstance(one, type) and issubclass(one, dict)):
            for key, given in inspect.signature(one).parameters.items():
                found.setdefault(key, set()).add(repr(given.default))
    return found


@cache
def names() -> frozenset[str]:
    """Every name of a setting, right, error, command, unit, package, metric and module, every field and value."""
    found = {key.name for key in FILE_KEYS} | set(KEYS) | settings() | {one.name for one in Permission}
    found |= {role.value for role in Role} | set(all_errors()) | set(families()) | fields() | values()
    found |= commands.sub_commands() | commands.SCRIPTS.keys() | _packaged() | _metrics()
    found |= units() | {unit.partition(".")[0] for unit in units()}
    return frozenset(found | set(sdk()) | {key for name in sdk() for key in parameters(name)})


@cache
def paths() -> str:
    """Every file and folder that packages have, that an installation makes or that the product names, one a line."""
    layout, found = Layout(), {f"{PREFIX}/lib", f"{PREFIX}/mnt", *(f"{PREFIX}/bin/{one}" for one in commands.SCRIPTS)}
    for name, one in vars(Layout).items():
        if isinstance(one, property):
            found.add(str(getattr(layout, name)))
        elif inspect.isfunction(one) and not name.startswith("_"):
            found |= {str(one(layout, role)) for role in ROLES}
    found |= {f"{PREFIX}/etc/{file.name}" for file in (PACKAGING / "etc").iterdir()}
    found |= {f"{PREFIX}/etc/systemd/system/{unit}" for unit in units()}
    own = [file for folder in ("units", "etc", "scripts") for file in (PACKAGING / folder).iterdir()]
    for file in (*own, PACKAGING / "build.py"):
        found |= {
            path.rstrip(".") for path in re.findall(r"/(?:opt|var|run|usr|etc)/[\w./-]+", file.read_text("utf-8"))
        }
    found |= {text.rstrip("/") for text in texts() if re.fullmatch(r"[\w.…/ -]+", text) and re.search(r"[./]", text)}
    found |= {f"{PREFIX}/{path}" for path in found if path.startswith(("keys/", "etc/", "var/", "log/"))}
    found |= {str(parent) for path in found if path.startswith("/") for parent in Path(path).parents}
    return "\n".join(sorted(found))
