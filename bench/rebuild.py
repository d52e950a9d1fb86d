"""A catalogue that is lost with very many copies: how long `rubackup rebuild-catalogue` takes, and what each process takes at most.

    .venv/bin/python bench/rebuild.py [--copies N] [--dir FOLDER] [--json FILE]

A whole system runs, started by `rubackup up`; the pool's folder holds so many small sealed lists of files, chains of ten.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import many_records
from support.system import RUBACKUP, System, running

_ADOPTED = re.compile(r"Many: (\d+) copies adopted")


def main() -> None:
    """Entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=200_000)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--vault", type=Path, help="a folder that an earlier run has filled, instead of a new one")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rb-rebuild-", dir=chosen.dir))
    folder.chmod(0o711)
    found: dict[str, object] = {"copies": chosen.copies}
    adopted: list[object] = []
    try:
        begun = time.monotonic()
        vault = chosen.vault or folder / "vault"
        if chosen.vault is None:
            many_records.fill(vault, chosen.copies)
        print(f"{chosen.copies} copies laid out in {time.monotonic() - begun:.0f} s", flush=True)
        with running(folder / "state") as system:
            for step in ("rebuild", "again"):
                found[step] = one = measure(system, vault)
                adopted.append(one["adopted"])
                print(step, json.dumps(found[step], indent=1), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    if adopted != [chosen.copies, 0]:
        raise SystemExit(f"Of {chosen.copies} copies {adopted[0]} were adopted, then {adopted[1]}.")


def measure(system: System, vault: Path) -> dict[str, object]:
    """One run of the command; peaks in MiB of all processes."""
    begun = time.monotonic()
    command = [*RUBACKUP, "rebuild-catalogue", "--state", str(system.state), "--pool", f"Many={vault}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peaks: dict[str, int] = {}
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    while process.poll() is None:
        for name, pid in {**system.processes(), "command": process.pid}.items():
            peaks[name] = max(peaks.get(name, 0), peak_mib(pid))
        time.sleep(0.2)
    reader.join(10)
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "status": process.returncode,
        "peak_mib": peaks,
        "adopted": next((int(one[1]) for line in lines if (one := _ADOPTED.match(line))), None),
    }


def peak_mib(pid: int) -> int:
    """What a process has taken at most."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM:")), 0)


if __name__ == "__main__":
    main()
