"""The manual mentions everything that an administrator can meet."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from rubackup.api.envelope import STATUS_BY_CODE
from rubackup.domain.errors import RubackupError, all_errors
from rubackup.domain.permissions import Permission

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "rubackup"
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
MAP = (ROOT / "docs" / "architecture.md").read_text()
LONGEST_MODULE = 600
NOT_OVER_HTTP = {"configuration", "startup", "api_fault", "task_failed"}
"""Errors of processes that do not start, and of the command line."""
SETTING = re.compile(r"""\.(?:text|integer|number|choice|port|flag|path|folders|secret)\(\s*["']([A-Z][A-Z_]+)["']""")


def settings_keys() -> set[str]:
    """Every key that a role reads."""
    return {key for file in (SOURCES / "roles").rglob("*.py") for key in SETTING.findall(file.read_text())}


def every_error() -> dict[str, type[RubackupError]]:
    """Every error class of the source tree, wherever it is defined."""
    for file in SOURCES.rglob("*.py"):
        if re.search(r"^class .*:\n(?:.*\n)*?    code = ", file.read_text(), re.MULTILINE):
            name = file.relative_to(SOURCES.parent).with_suffix("")
            importlib.import_module(".".join(name.parts))
    return {code: kind for code, kind in all_errors().items() if kind.__module__.startswith("rubackup.")}


def status(kind: type[RubackupError]) -> int | str:
    """The HTTP status of an error class: its own code's, or that of the class it is made from."""
    codes = (base.code for base in kind.__mro__ if issubclass(base, RubackupError))
    found = next((STATUS_BY_CODE[code] for code in codes if code in STATUS_BY_CODE), 500)
    return "never over HTTP" if kind.code in NOT_OVER_HTTP else found


def test_every_setting_is_explained() -> None:
    """A key that a process reads stands in the reference."""
    assert len(settings_keys()) > 20
    assert [key for key in sorted(settings_keys()) if f"`{key}`" not in REFERENCE] == []


def test_every_permission_is_explained() -> None:
    """Each permission stands in the reference with its sentence."""
    assert [p.name for p in Permission if f"| `{p.name}` | {p.value} |" not in REFERENCE] == []


def test_every_error_code_is_explained_with_its_status() -> None:
    """Each code stands in the reference with the status that the API gives it."""
    missing = [code for code, kind in every_error().items() if f"| `{code}` | {status(kind)} |" not in REFERENCE]

    assert missing == []


def test_every_package_is_on_the_map() -> None:
    """A package of the source tree stands on the architecture page."""
    packages = [folder.name for folder in SOURCES.iterdir() if (folder / "__init__.py").exists()]

    assert len(packages) > 10
    assert [name for name in packages if f"`{name}/`" not in MAP] == []


def test_no_module_is_too_long_to_live_in() -> None:
    """Modules stay below 600 lines."""
    long = [str(f) for f in SOURCES.rglob("*.py") if len(f.read_text().splitlines()) > LONGEST_MODULE]

    assert long == []


@pytest.mark.parametrize("file", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
def test_links_of_the_documentation_lead_somewhere(file: Path) -> None:
    """A relative link in a page names a file that is there."""
    targets = re.findall(r"\]\(([^)#:]+)\)", file.read_text())

    assert [target for target in targets if not (file.parent / target).exists()] == []
