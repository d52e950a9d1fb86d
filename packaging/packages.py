"""What each package holds: one description for .deb and .rpm."""

from __future__ import annotations

from dataclasses import dataclass, field

PREFIX = "/opt/rubackup"
VENV = f"{PREFIX}/lib/venv"
UNITS = f"{PREFIX}/etc/systemd/system"


@dataclass(frozen=True)
class Package:
    """One package. Configuration files survive an upgrade."""

    name: str
    summary: str
    programs: tuple[str, ...] = ()
    """Names of pyproject.toml's scripts; the package with the tree has all that no other has."""
    units: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    """Of these the units that others start, by name: they are linked where systemd looks for them."""
    configuration: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Other packages of ours, of the same version."""
    suggests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Packages of the distribution that some hosts need, by kind."""
    roles: tuple[str, ...] = ()
    """Roles whose folders it makes."""
    tree: bool = False
    """Whether it carries Python's part of everything."""


PACKAGES = (
    Package(
        "rubackup-common",
        "RuBackup: what all of its packages run on",
        tree=True,
    ),
    Package(
        "rubackup-client",
        "RuBackup: client of a host that is backed up",
        programs=("rubackup_client", "rubackup_alone"),
        units=("rubackup_client.service", "rubackup_alone.service", "rubackup_postgres.service"),
        started=("rubackup_postgres.service",),
        needs=("rubackup-common",),
        suggests={"deb": ("postgresql",), "rpm": ("postgresql-server",)},  # its programs, for an autonomous client
        roles=("client", "alone"),
    ),
    Package(
        "rubackup-server",
        "RuBackup: server and media server",
        programs=("rubackup_server", "rubackup_media"),
        units=(
            "rubackup_server.service",
            "rubackup_media.service",
            "rubackup_catalogue.service",
            "rubackup_catalogue.timer",
            "rubackup_renew.service",
            "rubackup_renew.timer",
        ),
        started=("rubackup_catalogue.service", "rubackup_renew.service"),
        needs=("rubackup-common", "rubackup-client"),
        roles=("server", "media"),
    ),
    Package(
        "rubackup-rest-api",
        "RuBackup: REST API",
        programs=("rubackup_api",),
        units=("rubackup_api.service", "rubackup_renew_api.service", "rubackup_renew_api.timer"),
        started=("rubackup_renew_api.service",),
        configuration=("rubackup_api.env", "rubackup_api_logger.conf"),
        needs=("rubackup-common",),
        roles=("api",),
    ),
)


def programs_of(package: Package, scripts: dict[str, str]) -> dict[str, str]:
    """The programs of a package as `name: module:function`, out of all scripts of the project."""
    elsewhere = {name for other in PACKAGES for name in other.programs}
    wanted = sorted(scripts.keys() - elsewhere) if package.tree else package.programs
    return {name: scripts[name] for name in wanted}
