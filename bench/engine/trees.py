"""The trees: made of what the machine has, the same each time on one machine, and changed by a fixed seed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = (
    "/usr/share", "/usr/include", "/usr/lib/python3", "/usr/local/lib", "/root/.pyenv/versions", "/usr/lib/gcc",
    "/usr/lib/x86_64-linux-gnu",
)  # fmt: skip
SMALL_FILES, SMALL_BYTES, LARGEST_SMALL = 150_000, 2_300_000_000, 4 << 20
LARGE_BYTES, RANDOM_BYTES = 1_000_000_000, 1_000_000_000
MIB = 1 << 20
MOST_BYTES = SMALL_BYTES
ROOM = 8
"""Times the largest tree: itself and what is restored of it, six repositories of half its size, twice."""


@dataclass
class Tree:
    """A tree that is backed up, and the file that is fetched alone."""

    name: str
    root: Path
    one: Path = field(default_factory=Path)
    files: int = 0
    size_bytes: int = 0

    def measure(self) -> None:
        """Count its files."""
        self.files, self.size_bytes = count(self.root)


def count(root: Path) -> tuple[int, int]:
    """Regular files, and their bytes."""
    sizes = [path.stat().st_size for path in _files(root)]
    return len(sizes), sum(sizes)


def make(name: str, root: Path, scale: float) -> Tree:
    """The tree of this name; `scale` makes it smaller."""
    tree = Tree(name, root)
    root.mkdir(parents=True)
    tree.one = {"small": _small, "large": _large, "random": _random}[name](root, scale)
    tree.measure()
    return tree


def _files(root: Path) -> Iterator[Path]:
    """Regular files, in order."""
    for folder, inner, names in os.walk(root):
        inner.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _shifted(turn: int) -> bytes:
    """Letters turned by some places: a text that compresses the same and shares nothing with the first."""
    table = bytearray(range(256))
    for first in (65, 97):
        for i in range(26):
            table[first + i] = first + (i + turn) % 26
    return bytes(table)


def _small(root: Path, scale: float) -> Path:
    """Small files of this machine, again with turned letters until there are enough."""
    files, size, turn = 0, 0, 0
    most_files, most_bytes = int(SMALL_FILES * scale), int(SMALL_BYTES * scale)
    middle = root
    while files < most_files and size < most_bytes and turn < 26:
        table = _shifted(turn)
        for source in map(Path, SOURCES):
            if not source.is_dir():
                continue
            base = root / f"{turn}" / str(source).strip("/").replace("/", "-")
            for path in _files(source):
                if files >= most_files or size >= most_bytes:
                    break
                try:
                    status = path.stat()
                    if status.st_size > LARGEST_SMALL:
                        continue
                    data = path.read_bytes()
                except OSError:  # somebody else's, or gone
                    continue
                target = base / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data.translate(table) if turn else data)
                target.chmod(status.st_mode & 0o777 | 0o400)
                os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
                files += 1
                size += len(data)
                if files <= most_files // 2 and data:
                    middle = target
        turn += 1
    return middle


def _words(dice: random.Random, size: int) -> bytes:
    """Text that compresses about threefold."""
    words = [dice.randbytes(dice.randint(2, 5)).hex().encode() for _ in range(4000)]
    line = b" ".join(dice.choices(words, k=size // 6))
    return line[:size].ljust(size, b".")


def _large(root: Path, scale: float) -> Path:
    """A disk image with holes and repeated parts, and large files, a third of each incompressible."""
    dice = random.Random(44)
    image = max(int(LARGE_BYTES * scale * 0.6) // MIB, 4)
    repeated = [_words(dice, MIB) for _ in range(4)]
    with (root / "disk.img").open("wb") as file:
        for number in range(image):
            kind = number % 10
            if kind in {2, 3, 7}:
                file.seek(MIB, os.SEEK_CUR)
            elif kind in {4, 8}:
                file.write(repeated[dice.randrange(4)])
            else:
                file.write(dice.randbytes(MIB // 3) + _words(dice, MIB - MIB // 3))
        file.truncate(image * MIB)
    each = max(int(LARGE_BYTES * scale * 0.4) // 12 // MIB, 1)
    for number in range(12):
        with (root / f"set{number:02}").open("wb") as file:
            for _ in range(each):
                file.write(dice.randbytes(MIB // 3) + _words(dice, MIB - MIB // 3))
    return root / "set05"


def _random(root: Path, scale: float) -> Path:
    """Twenty files that nothing compresses."""
    dice = random.Random(45)
    each = max(int(RANDOM_BYTES * scale) // 20 // MIB, 1)
    for number in range(20):
        with (root / f"noise{number:02}").open("wb") as file:
            for _ in range(each):
                file.write(dice.randbytes(MIB))
    return root / "noise09"


def change(tree: Tree, seed: int, *, few: bool = False) -> None:
    """One per cent of the files is changed, some are added, some removed; of few large files one per cent of the bytes.

    `few`: of large files only two, which spares time where nothing is measured.
    """
    dice = random.Random(seed)
    files = list(_files(tree.root))
    if len(files) < 1000:
        for path in dice.sample(files, 2) if few else files:
            size = path.stat().st_size
            with path.open("r+b") as file:
                for _ in range(max(size // (100 * MIB), 1)):
                    file.seek(dice.randrange(max(size - MIB, 1)))
                    file.write(dice.randbytes(min(MIB, size // 4)))
        (tree.root / f"added{seed}").write_bytes(dice.randbytes(min(tree.size_bytes // 400, 8 * MIB)))
        for old in sorted(tree.root.glob("added*"))[:-3]:
            old.unlink()
        return
    chosen = dice.sample([path for path in files if path != tree.one], len(files) // 100 + len(files) // 500)
    removed = len(files) // 500
    for path in chosen[:removed]:
        path.unlink()
    for number, path in enumerate(chosen[removed:]):
        path.chmod(0o644)
        with path.open("ab") as file:
            file.write(b"\n# %d " % seed + dice.randbytes(24).hex().encode())
        if number % 5 == 0:
            shutil.copyfile(path, path.with_name(f"new-{seed}-{number}"))
