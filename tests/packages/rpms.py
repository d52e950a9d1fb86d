"""The .rpm packages, as far as a Debian can tell: contents, scripts, what they require, installed with `rpm --root`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from packages.walk import ORDER


def query(rpm: Path, *what: str) -> str:
    """What `rpm -qp` says."""
    return subprocess.run(["rpm", "-qp", *what, str(rpm)], check=True, capture_output=True, text=True).stdout


def look(packages: Path, root: Path) -> None:
    """Both kinds hold the same files; the scripts are the same; rpm finds its own installation in order."""
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
    root.mkdir()
    command = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm"]
    every = [str(packages / f"{name}.rpm") for name in ORDER]
    subprocess.run([*command, "--initdb"], check=True)
    subprocess.run([*command, "-i", "--nodeps", "--noscripts", *every], check=True)
    verified = subprocess.run([*command, "-V", "--nodeps", *ORDER], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout
    print(f"          rpm: {len(every)} packages installed below a root, rpm -V finds nothing changed")
