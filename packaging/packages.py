"""What each package holds: one description for .deb and .rpm."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "/opt/rubackup"
VENV = f"{PREFIX}/lib/venv"
UNITS = f"{PREFIX}/etc/systemd/system"


@dataclass(frozen=True)
class Package:
    """One package. Programs are `name: module:function`; configuration files survive an upgrade."""

    name: str
    summary: str
    programs: dict[str, str]
    units: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Other packages of ours, of the same version."""
    roles: tuple[str, ...] = ()
    """Roles whose folders it makes."""
    tree: bool = False
    """Whether it carries Python's part of everything."""


PACKAGES = (
    Package(
        "rubackup-common",
        "RuBackup: what all of its packages run on",
        {"rubackup": "rubackup.cli.main:main", "rb_init": "rubackup.cli.init:main"},
        tree=True,
    ),
    Package(
        "rubackup-client",
        "RuBackup: client of a host that is backed up",
        {"rubackup_client": "rubackup.cli.programs:client"},
        units=("rubackup_client.service",),
        needs=("rubackup-common",),
        roles=("client",),
    ),
    Package(
        "rubackup-server",
        "RuBackup: server and media server",
        {
            "rubackup_server": "rubackup.cli.programs:server",
            "rubackup_media": "rubackup.cli.programs:media",
            "rb_repository": "rubackup.cli.administration:main",
        },
        units=(
            "rubackup_server.service",
            "rubackup_media.service",
            "rubackup_renew.service",
            "rubackup_renew.timer",
        ),
        needs=("rubackup-common", "rubackup-client"),
        roles=("server", "media"),
    ),
    Package(
        "rubackup-rest-api",
        "RuBackup: REST API",
        {"rubackup_api": "rubackup.cli.programs:api"},
        units=("rubackup_api.service",),
        configuration=("rubackup_api.env", "rubackup_api_logger.conf"),
        needs=("rubackup-common",),
        roles=("api",),
    ),
)
