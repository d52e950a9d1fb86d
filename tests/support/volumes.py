"""A stand-in for LVM: loop devices with real file systems, and `lvs`, `lvcreate`, `lvremove` that know them.

Many kernels of test machines have no device mapper. The stand-in copies the image of a frozen file
system where LVM would make a snapshot; everything around it (finding, mounting, reading, removing)
is the real thing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOL = """#!{python}
import json, os, pathlib, subprocess, sys
STATE = pathlib.Path({state!r})
tool, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
if (STATE / f"fail-{{tool}}").exists():
    sys.exit(f"  {{tool}}: no luck today")
file = STATE / "volumes.json"
volumes = json.loads(file.read_text())
def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
def value(name):
    return arguments[arguments.index(name) + 1]
last = arguments[-1]
if tool == "lvs":
    rows = []
    for label, volume in volumes.items():
        wanted = not ("/" in last or last.startswith("@")) or last == label or last.lstrip("@") in volume["tags"]
        st = os.stat(volume["loop"])
        if wanted:
            group, name = label.split("/")
            rows.append({{"vg_name": group, "lv_name": name, "lv_kernel_major": str(os.major(st.st_rdev)),
                "lv_kernel_minor": str(os.minor(st.st_rdev)), "segtype": "linear", "lv_tags": ",".join(volume["tags"]),
                "lv_snapshot_invalid": "1" if (STATE / "overflow").exists() and volume["tags"] else "0"}})
    print(json.dumps({{"report": [{{"lv": rows}}]}}))
elif tool == "lvcreate":
    assert "--snapshot" in arguments and value("--extents").endswith("%ORIGIN"), arguments
    (STATE / "calls").open("a").write(" ".join(arguments) + "\\n")
    origin, name = volumes[last], value("--name")
    group = last.split("/")[0]
    image = STATE / f"{{name}}.img"
    run("fsfreeze", "--freeze", origin["point"])
    try:
        run("cp", "--sparse=always", origin["image"], str(image))
    finally:
        run("fsfreeze", "--unfreeze", origin["point"])
    loop = run("losetup", "--find", "--show", str(image))
    pathlib.Path(f"/dev/{{group}}").mkdir(exist_ok=True)
    os.symlink(loop, f"/dev/{{group}}/{{name}}")
    volumes[f"{{group}}/{{name}}"] = {{"loop": loop, "image": str(image), "tags": [value("--addtag")], "point": ""}}
    file.write_text(json.dumps(volumes))
else:
    volume = volumes.pop(last)
    run("losetup", "--detach", volume["loop"])
    os.unlink(volume["image"])
    os.unlink(f"/dev/{{last}}")
    file.write_text(json.dumps(volumes))
"""


@dataclass
class Volumes:
    """A volume `home` of a group of its own, mounted at `point`."""

    state: Path
    point: Path
    group: str
    tools: str

    def names(self) -> list[str]:
        """The volumes that there are, without their group."""
        return [label.split("/")[1] for label in json.loads((self.state / "volumes.json").read_text())]

    def set(self, name: str) -> None:
        """Let something go wrong from now on: `fail-<tool>` or `overflow`."""
        (self.state / name).touch()

    def calls(self) -> list[str]:
        """The arguments of every lvcreate."""
        return (self.state / "calls").read_text().splitlines()


@contextmanager
def standing_volumes(folder: Path) -> Iterator[Volumes]:
    """The stand-in with one ext4 of 32 MB; needs root."""
    state, point, tools = folder / "volumes", folder / "home", folder / "tools"
    for part in (state, point, tools):
        part.mkdir()
    group = f"rubackup-test-{uuid.uuid4().hex[:12]}"
    image = state / "home.img"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-b", "1024", image], check=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    (tools / "lvs").write_text(TOOL.format(python=sys.executable, state=str(state)))
    (tools / "lvs").chmod(0o755)
    for name in ("lvcreate", "lvremove"):
        shutil.copy2(tools / "lvs", tools / name)
    volume = {"loop": loop, "image": str(image), "tags": [], "point": str(point)}
    (state / "volumes.json").write_text(json.dumps({f"{group}/home": volume}))
    subprocess.run(["mount", loop, point], check=True)
    try:
        yield Volumes(state, point, group, str(tools))
    finally:
        _take_down(state, point, group)


def _take_down(state: Path, point: Path, group: str) -> None:
    """Leave nothing of it on the machine, whatever a failed test left mounted."""
    loops = {volume["loop"] for volume in json.loads((state / "volumes.json").read_text()).values()}
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for source, where, *_ in reversed(mounts):
        if source in loops or where.startswith(f"{point}/"):
            subprocess.run(["umount", where], check=False)
    for loop in loops:
        subprocess.run(["losetup", "--detach", loop], check=False)
    shutil.rmtree(f"/dev/{group}", ignore_errors=True)


def device_mapper_problem() -> str:
    """Why this machine cannot run real LVM; '' when it can."""
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("lvcreate") is None:
        return "lvm2 is not installed"
    found = subprocess.run(["dmsetup", "version"], capture_output=True, text=True, check=False)
    return "" if found.returncode == 0 else f"no device mapper: {found.stderr.strip().splitlines()[0]}"
