"""restic and borg: those of the environment, else the newest that the registries have.

restic comes out of the package of Debian's newest suite, unpacked and not installed; borg from PyPI into a venv of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SUITES = ("sid", "testing", "stable")
OLDEST_RESTIC = (0, 17)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HEADERS = ("libacl1-dev", "liblz4-dev", "libxxhash-dev", "libzstd-dev", "libssl-dev", "pkg-config")


class Unusable(Exception):
    """A tool cannot be had, or is too old."""


def _run(argv: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise Unusable(f"{' '.join(argv[:4])}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def restic(cache: Path) -> tuple[Path, str]:
    """The program and its version."""
    given = os.environ.get("RESTIC")
    if given:
        path = Path(shutil.which(given) or given)
        return path, _restic_version(path)
    kept = cache / "restic" / "usr" / "bin" / "restic"
    if kept.exists():
        return kept, _restic_version(kept)
    problems = []
    for suite in SUITES:
        try:
            _unpack_restic(cache, suite)
            return kept, _restic_version(kept)
        except Unusable as error:
            problems.append(f"{suite}: {error}")
    raise Unusable("No restic could be had; set RESTIC. " + " ".join(problems))


def _restic_version(path: Path) -> str:
    found = re.search(r"restic (\d+)\.(\d+)\.(\d+)", _run([str(path), "version"]))
    if not found:
        raise Unusable(f"{path} does not tell its version.")
    numbers = tuple(map(int, found.groups()))
    if numbers[:2] < OLDEST_RESTIC:
        raise Unusable(f"{path} is restic {'.'.join(found.groups())}; it must be 0.17 or newer.")
    return ".".join(found.groups())


def _unpack_restic(cache: Path, suite: str) -> None:
    folder = cache / "apt"
    shutil.rmtree(cache / "restic", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    for inner in ("lists/partial", "cache/archives/partial"):
        (folder / inner).mkdir(parents=True)
    signed = f"[signed-by={KEYRING}] " if Path(KEYRING).exists() else ""
    (folder / "sources.list").write_text(f"deb {signed}http://deb.debian.org/debian {suite} main\n")
    options = {
        "Dir::State::lists": folder / "lists", "Dir::Cache": folder / "cache", "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::sourcelist": folder / "sources.list", "Acquire::Languages": "none", "APT::Sandbox::User": "root",
    }  # fmt: skip
    arguments = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    _run(["apt-get", *arguments, "update"])
    _run(["apt-get", *arguments, "download", "restic"], folder)
    package = next(folder.glob("restic_*.deb"))
    _run(["dpkg-deb", "-x", str(package), str(cache / "restic")])
    shutil.rmtree(folder)


def borg(cache: Path) -> tuple[Path, str]:
    """The program and its version."""
    given = os.environ.get("BORG")
    path = Path(shutil.which(given) or given) if given else cache / "borg" / "bin" / "borg"
    if not given and not path.exists():
        try:
            _install_borg(path.parents[1])
        except Unusable as error:
            shutil.rmtree(path.parents[1], ignore_errors=True)
            raise Unusable(f"No borg could be built ({', '.join(HEADERS)} are needed); set BORG. {error}") from error
    return path, _run([str(path), "--version"]).split()[-1]


def _install_borg(folder: Path) -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run(["apt-get", "-q", "update"])
        _run(["apt-get", "-q", "-y", "install", *HEADERS])
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(folder / "bin" / "pip"), "install", "-q", "borgbackup"])


def default_cache() -> Path:
    """Where fetched tools are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rubackup-bench"
