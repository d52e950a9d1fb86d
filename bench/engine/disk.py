"""Where a run works: a fresh folder on a disk, on a file system of its own where that of the disk would distort the times.

ext4 without a journal looks for a free inode past all that were deleted within the last minutes: whoever makes many files after
another's were removed pays for them. As root we then put everything on a journaled ext4 in a file that is mounted by a loop device,
the same for all. The file is written in full first: in a sparse one the first to use a block would pay for its allocation.
Where we cannot, trees are not removed during the run but emptied and set aside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.engine.tools import Unusable

MIB = 1 << 20
IN_MEMORY = {"tmpfs", "ramfs"}
SPARE = 1.1
"""The file system below must have so many times the room of the image."""


def is_ext4_without_journal(folder: Path) -> bool:
    """What the kernel says of the file system; no where it says nothing."""
    device = folder.stat().st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    options = Path("/proc/fs/ext4") / name / "options"
    return options.exists() and not any(line.startswith("data=") for line in options.read_text().splitlines())


class Workplace:
    """The folder of one run; `close` leaves nothing behind, whatever happened in it."""

    def __init__(self, within: Path, image: str, size_bytes: int) -> None:
        """`image`: yes, no or auto; Unusable when the place cannot be used."""
        kind = _run("stat", "-f", "-c", "%T", within).strip()
        if kind in IN_MEMORY:
            raise Unusable(f"{within} lies in memory ({kind}), where nothing is ever synced; give a folder on a disk.")
        affected = is_ext4_without_journal(within)
        self._base = Path(tempfile.mkdtemp(prefix="rubackup-engine-", dir=within))
        self.folder, self._mounted, self._aside = self._base, False, affected
        self.told = f"{kind} of {within}"
        if image == "yes" or (image == "auto" and affected and os.geteuid() == 0):
            try:
                self._mount(size_bytes)
            except BaseException:
                self.close()
                raise
            self._aside = False
            self.told = f"an ext4 with journal of its own, {size_bytes / 1e9:.1f} GB in a file on {self.told}"
        elif affected:
            self.told += ", ext4 without journal: what is removed is only emptied until the end"

    def _mount(self, size_bytes: int) -> None:
        file, mount = self._base / "image", self._base / "mount"
        mount.mkdir()
        free = shutil.disk_usage(self._base).free
        if free < size_bytes * SPARE:
            raise Unusable(
                f"{self._base.parent} has {free / 1e9:.1f} GB free; {size_bytes * SPARE / 1e9:.1f} GB are needed."
            )
        _fill(file, size_bytes)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", file)
        device = _run("losetup", "--find", "--show", "--direct-io=on", file).strip()
        try:
            _run("mount", device, mount)
        finally:
            _run("losetup", "--detach", device)  # it is freed as soon as it is mounted no more
        self._mounted = True
        file.unlink()  # from here on it ends with its mount
        self.folder = mount

    def remove(self, folder: Path) -> None:
        """Give the room of a folder back; its files stay where their removal would slow down who comes next."""
        if not self._aside:
            shutil.rmtree(folder)
            return
        for inner, _, names in os.walk(folder):
            for name in names:
                path = Path(inner, name)
                if path.is_file() and not path.is_symlink():
                    os.truncate(path, 0)
        aside = self._base / "aside"
        aside.mkdir(exist_ok=True)
        folder.rename(aside / f"{time.monotonic_ns()}")

    def close(self) -> None:
        """Unmount and remove everything; what still runs in it is waited for, and told if it stays."""
        if self._mounted:
            for _ in range(50):
                if subprocess.run(["umount", self.folder], capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.2)
            else:
                _run("umount", "--lazy", self.folder)
                print(f"engine: {self.folder} is still in use; it goes when that ends", file=sys.stderr)
            self._mounted = False
        shutil.rmtree(self._base, ignore_errors=True)


def _fill(file: Path, size_bytes: int) -> None:
    block = bytes(8 * MIB)
    with file.open("wb", buffering=0) as out:
        done = 0
        while done < size_bytes:
            done += out.write(block[: size_bytes - done])
        os.fsync(out.fileno())
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _run(*argv: str | Path) -> str:
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unusable(f"{' '.join(map(str, argv[:3]))}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
