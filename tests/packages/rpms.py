"""The .rpm packages, as far as a Debian can tell: contents, scripts, what they require, installed with `rpm --root`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from packages.container import copy
from packages.walk import ORDER, Steps


def query(rpm: Path, *what: str) -> str:
    """What `rpm -qp` says."""
    return subprocess.run(["rpm", "-qp", *what, str(rpm)], check=True, capture_output=True, text=True).stdout


def look(packages: Path, newer: Path, lower: Path, work: Path, step: Steps) -> None:
    """Both kinds hold the same files; the scripts are the same; rpm installs, upgrades and erases below a root."""
    step("rpm: the same files and scripts as the .deb")
    for name in ORDER:
        rpm, deb = packages / f"{name}.rpm", packages / f"{name}.deb"
        files = {line for line in query(rpm, "-l").splitlines() if line}
        text = subprocess.run(["dpkg-deb", "-c", str(deb)], check=True, capture_output=True, text=True).stdout
        listed = {line.split(maxsplit=5)[5].split(" -> ")[0] for line in text.splitlines()}
        ours = {path.removeprefix(".").rstrip("/") for path in listed if not path.endswith("/")}
        assert ours <= files, f"{name}: only in the .deb: {sorted(ours - files)[:10]}"
        scripts = query(rpm, "--scripts")
        assert f"package={name}" in scripts, scripts
        for kind in ("postinstall", "preuninstall", "postuninstall"):
            assert kind in scripts, scripts
    assert "rubackup-common = " in query(packages / "rubackup-server.rpm", "--requires")
    assert "python3.11" in query(packages / "rubackup-common.rpm", "--requires")
    assert "/opt/rubackup/etc/rubackup_api.env" in query(packages / "rubackup-rest-api.rpm", "-c")
    step("rpm --root: -i, -U with a changed setting, back, -e, with all scripts")
    with copy(lower, work) as root:
        _below(packages, newer, root)


def _below(packages: Path, newer: Path, root: Path) -> None:
    """Below a Debian that does not run: its scripts make users and folders, and leave systemd alone."""
    command = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm"]
    rpms = [[str(folder / f"{name}.rpm") for name in ORDER] for folder in (packages, newer)]
    _run(*command, "--initdb")
    _run(*command, "-i", "--nodeps", *rpms[0])
    _run(*command, "-V", "--nodeps", *ORDER)
    ours = root / "opt/rubackup"
    owners = {
        line.split(":")[2]: line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()
    }  # fmt: skip
    for role in ("server", "media", "api"):
        assert owners[str((ours / f"keys/{role}").stat().st_uid)] == f"rubackup-{role}"
    settings, log = ours / "etc/rubackup_api.env", ours / "etc/rubackup_api_logger.conf"
    settings.write_text(settings.read_text().replace("APP_HOST=localhost", "APP_HOST=api.example"))
    (ours / "keys/server/serverKey.key").write_text("a key\n")
    before = _run(*command, "-q", "rubackup-server")
    _run(*command, "-U", "--nodeps", *rpms[1])
    assert _run(*command, "-q", "rubackup-server") != before
    assert len([one for one in _run(*command, "-qa").split() if "rubackup" in one]) == len(ORDER), (
        "an old one is listed"
    )
    assert "APP_HOST=api.example" in settings.read_text(), "the upgrade has replaced a changed setting"
    assert log.exists()
    _run(*command, "-U", "--oldpackage", "--nodeps", *rpms[0])
    assert _run(*command, "-q", "rubackup-server") == before
    _run(*command, "-V", "--nodeps", "rubackup-common", "rubackup-client", "rubackup-server")
    _run(*command, "-e", "--nodeps", *ORDER)
    assert not log.exists(), "an unchanged setting is left"
    left = sorted(str(path.relative_to(ours)) for path in ours.rglob("*") if not path.is_dir())
    assert left == ["etc/rubackup_api.env.rpmsave", "keys/server/serverKey.key"], left


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert "scriptlet failed" not in done.stderr, done.stderr
    return done.stdout
