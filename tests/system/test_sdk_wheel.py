"""docs/sdk.md: its programs are run as they stand in a Python that has nothing but the wheel, against a running system."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support.system import System

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
PROGRAMS: list[tuple[str, str]] = re.findall(
    r"^```python\n(.*?)^```\n```text\n(.*?)^```\n", TEXT, re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, built."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build-sdk", "--out", folder], capture_output=True, text=True, timeout=300, check=True
    )  # fmt: skip
    assert done.stdout.strip() == str(next(folder.iterdir()))
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    found = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", found, "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-index", wheel], timeout=300, check=True)
    return found


def test_it_is_built_by_any_python(wheel: Path, tmp_path: Path) -> None:
    """One that has nothing beside it takes the checkout's; others can read what was built."""
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)

    subprocess.run(
        [bare / "bin" / "python", ROOT / "scripts" / "build-sdk", "--out", tmp_path / "dist"], timeout=300, check=True
    )

    built = next((tmp_path / "dist").iterdir())
    assert built.read_bytes() == wheel.read_bytes()
    assert stat.S_IMODE(built.stat().st_mode) == 0o644
    assert "/dist/" in (ROOT / ".gitignore").read_text().splitlines()


def test_without_what_builds_it_the_way_is_told(tmp_path: Path) -> None:
    """Not a traceback."""
    checkout, bare = tmp_path / "checkout", tmp_path / "bare"
    (checkout / "scripts").mkdir(parents=True)
    script = checkout / "scripts" / "build-sdk"
    script.write_bytes((ROOT / "scripts" / "build-sdk").read_bytes())
    venv.create(bare, with_pip=False)

    done = subprocess.run(
        [bare / "bin" / "python", script, "--out", tmp_path], capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("build-sdk:")
    assert "scripts/setup" in done.stderr


def test_the_same_source_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """It is typed, and has no file of the product beside the client's."""
    import zipfile

    subprocess.run([sys.executable, ROOT / "scripts" / "build-sdk", "--out", tmp_path], timeout=300, check=True)
    names = zipfile.ZipFile(wheel).namelist()

    assert next(tmp_path.iterdir()).read_bytes() == wheel.read_bytes()
    assert "rubackup/sdk/py.typed" in names
    assert "rubackup/sdk/api/operations.json" in names
    assert [name for name in names if not name.startswith(("rubackup/sdk/", "rubackup_sdk-"))] == []


def test_every_program_of_the_page_does_what_it_shows(system: System, python: Path, tmp_path: Path) -> None:
    """With an API token, in an interpreter that sees no other package."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "one").write_text("Dear reader\n")
    made = system.call("POST", "/tokens", {"data": {"name": "sdk-page", "roles": ["superuser"]}}, status=201)
    given = {
        "API": system.facts["api"], "CA": system.facts["ca_file"], "TOKEN": made["data"]["token"], "FOLDER": str(folder)
    }  # fmt: skip
    named = "".join(f"{name} = {value!r}\n" for name, value in given.items())

    assert len(PROGRAMS) == TEXT.count("```python") == 3
    for code, shown in PROGRAMS:
        done = subprocess.run(
            [python, "-I", "-c", named + code], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
        )
        pattern = re.escape(shown).replace("…", ".*")
        assert done.stderr == ""
        assert re.fullmatch(pattern, done.stdout), f"{code}\nprinted\n{done.stdout}\ninstead of\n{shown}"
    assert (tmp_path / "one").read_text() == "Dear reader\n"


def test_the_programs_are_typed(python: Path, tmp_path: Path) -> None:
    """A type checker knows the rows of the wheel, and finds a column that there is not."""
    named = "API = CA = TOKEN = FOLDER = ''\n"
    files = []
    for number, (code, _) in enumerate([*PROGRAMS, (PROGRAMS[0][0].replace("pool_name", "pool_nam"), "")]):
        files.append(tmp_path / f"program{number}.py")
        files[-1].write_text(named + code)

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", tmp_path / "cache", *files],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert re.fullmatch(
        r'program3\.py:\d+: error: TypedDict "PoolRow" has no key "pool_nam".*\n(?:.*note:.*\n)?Found 1 error in 1 file.*\n',
        done.stdout,
    ), done.stdout
