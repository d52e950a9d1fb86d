"""SCSI devices as sysfs shows them, below a folder of a test."""

from __future__ import annotations

from pathlib import Path


class ScsiTree:
    """`root/sys` with the links that the kernel makes; every device has an sg node of the class scsi_generic."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._class = root / "sys/class/scsi_generic"
        self._class.mkdir(parents=True)

    def add(
        self, name: str, address: str, kind: int, vendor: str, product: str, revision: str, *, serial: bytes = b"",
        page: bytes | None = None, node: str = "",
    ) -> None:  # fmt: skip
        """A device; `page` is its serial number page as it is, `node` its tape node."""
        device = self.root / "sys/devices/pci0" / address
        generic = device / "scsi_generic" / name
        generic.mkdir(parents=True)
        (generic / "device").symlink_to("../../../" + address)
        (self._class / name).symlink_to(f"../../devices/pci0/{address}/scsi_generic/{name}")
        texts = {"type": str(kind), "vendor": f"{vendor:8}", "model": f"{product:16}", "rev": f"{revision:4}"}
        for file, text in texts.items():
            (device / file).write_bytes(text.encode("latin-1") + b"\n")
        if serial:
            page = bytes([kind, 0x80]) + len(serial).to_bytes(2, "big") + serial
        if page is not None:
            (device / "vpd_pg80").write_bytes(page)
        for tape in (node, node.removeprefix("n"), f"{node}a") if node else ():
            (device / "scsi_tape" / tape).mkdir(parents=True)
