"""What packages bring agrees with the code and the manual."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rubackup.roles.init.folders import USERS
from rubackup.roles.installed.config_file import KEYS
from rubackup.roles.installed.environment import KNOWN
from rubackup.roles.installed.layout import PREFIX, Layout
from support.manual import user_pages

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
REFERENCE = (ROOT / "docs/reference.md").read_text()


def described() -> ModuleType:
    """packaging/packages.py, which is no module of the product."""
    spec = importlib.util.spec_from_file_location("described_packages", PACKAGING / "packages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


DESCRIBED = described()
PACKAGES = DESCRIBED.PACKAGES


def test_every_program_is_in_one_package() -> None:
    """Each script of pyproject.toml, and each is there to be called."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    packed = [name for package in PACKAGES for name in DESCRIBED.programs_of(package, scripts)]

    assert sorted(packed) == sorted(scripts)
    for entry in scripts.values():
        module, function = entry.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_every_file_belongs_to_a_package() -> None:
    """Units and settings that lie in packaging are in some package, and the other way round."""
    for kind in ("units", "configuration"):
        folder = PACKAGING / {"units": "units", "configuration": "etc"}[kind]
        packed = {name for package in PACKAGES for name in getattr(package, kind)}
        assert packed == {path.name for path in folder.iterdir()}
    assert {role for package in PACKAGES for role in package.roles} == set(USERS)


@pytest.mark.parametrize("language", [".md", ".ru.md"])
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_manual_names_what_a_package_brings(package: Any, language: str) -> None:
    """Its row names its programs, and each unit that an administrator may enable or that runs as a user of its own."""
    page = user_pages(language)["installation"].read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{package.name}` |"))
    enabled = [unit for unit in package.units if "[Install]" in (PACKAGING / "units" / unit).read_text()]

    assert [name for name in (*package.programs, *enabled) if f"`{name.removesuffix('.service')}`" not in row] == []


@pytest.mark.parametrize("role", sorted(USERS))
def test_a_service_starts_its_program_as_its_user(role: str) -> None:
    """The user is the one that rb_init gives the role's folders, and the sandbox leaves its folders writable."""
    unit = (PACKAGING / f"units/rubackup_{role}.service").read_text()

    assert f"ExecStart={PREFIX}/bin/rubackup_{role} --start\n" in unit
    assert f"User={USERS[role]}\n" in unit
    if "ProtectSystem=strict" in unit:
        match = re.search(r"ReadWritePaths=(.*)", unit)
        assert match is not None
        assert {str(Layout().log(role)), str(Layout().run(role))} <= set(match[1].split())


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_unit_that_is_linked_is_started_by_another(package: Any) -> None:
    """By a timer of its name or by a service that wants it; nobody enables it."""
    assert {unit.removesuffix(".timer") + ".service" for unit in package.units if unit.endswith(".timer")} <= set(
        package.started
    )
    for name in package.started:
        assert name in package.units
        others = [(PACKAGING / "units" / one).read_text() for one in package.units if one != name]
        timer = name.removesuffix(".service") + ".timer"
        assert timer in package.units or any(f"Wants={name}\n" in unit for unit in others)
        assert "[Install]" not in (PACKAGING / "units" / name).read_text()


def test_users_of_units_are_made() -> None:
    """Each user of a unit but root is made by the packages' script."""
    script = (PACKAGING / "scripts/postinst").read_text()
    units = "".join(unit.read_text() for unit in (PACKAGING / "units").iterdir())

    assert [
        user for user in re.findall(r"^User=(.*)$", units, re.MULTILINE) if user != "root" and user not in script
    ] == []


def test_an_autonomous_client_may_no_more_than_a_client() -> None:
    """Its root has the same capabilities: PostgreSQL's other user is a matter of the other unit."""
    found = [
        re.findall(
            r"^CapabilityBoundingSet=(.*)$", (PACKAGING / f"units/rubackup_{name}.service").read_text(), re.MULTILINE
        )
        for name in ("alone", "client", "postgres")
    ]

    assert found[0] == found[1]
    assert found[2] == [""]


@pytest.mark.parametrize("role", sorted(set(USERS) - {"alone"}))
def test_a_service_that_stands_still_is_started_again(role: str) -> None:
    """By systemd, which its program tells that it moves; a process that is ended so leaves none of its memory behind."""
    unit = (PACKAGING / f"units/rubackup_{role}.service").read_text()

    assert re.search(r"^WatchdogSec=[25]min$", unit, re.MULTILINE)
    assert {"Type=notify", "Restart=on-failure", "LimitCORE=0"} <= set(unit.splitlines())


def test_every_key_and_variable_is_explained() -> None:
    """Of config.file and rubackup_api.env."""
    assert [key.name for key in KEYS if f"| `{key.name}` |" not in REFERENCE] == []
    assert [name for name in KNOWN if f"| `{name}` |" not in REFERENCE and name != "READY_FILE"] == []


@pytest.mark.parametrize("unit", sorted((PACKAGING / "units").glob("*.service")), ids=lambda path: path.name)
def test_units_name_the_manual_where_the_packages_have_it(unit: Path) -> None:
    """`systemctl help` and `status` lead to it."""
    places = re.findall(r"^Documentation=(.*)$", unit.read_text(), re.MULTILINE)

    assert all(place == "file:///usr/share/doc/rubackup-common/manual/index.html" for place in places)
    assert places or unit.stem in {"rubackup_renew", "rubackup_renew_api"}
