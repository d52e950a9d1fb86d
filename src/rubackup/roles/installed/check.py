"""Looks at every setting of this host, as the programs would read them, and tells all that is wrong at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.migrate import unfinished
from rubackup.domain.errors import RubackupError
from rubackup.roles import expiry
from rubackup.roles.init import access, advice
from rubackup.roles.installed import certificate, logs
from rubackup.roles.installed.config_file import AUTONOMOUS, NAMES, NODES, ConfigFile
from rubackup.roles.installed.environment import api_settings, app_host
from rubackup.roles.installed.interfaces import own_address
from rubackup.roles.installed.layout import Layout
from rubackup.roles.process import database_address, worker_timeout, workers
from rubackup.roles.settings import ConfigurationFault, Settings, time_zone

Question = Callable[[Settings], object]


@dataclass
class Report:
    """What was looked at, and what is wrong: a sentence each."""

    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is not wrong yet, or what another host has to change."""

    def ask(self, question: Callable[[], object]) -> None:
        """Note what the question raises."""
        try:
            question()
        except RubackupError as error:
            if error.message not in self.problems:
                self.problems.append(error.message)


def check(layout: Layout) -> Report:
    """The report on config.file, rubackup_api.env and rubackup_api_logger.conf, those that this host has."""
    report = Report()
    if layout.config_file.exists():
        report.files.append(layout.config_file)
        report.ask(lambda: _config_file(layout, report))
    if _is_alone(layout):
        return report  # the API of an autonomous client reads neither
    if layout.api_environment.exists():
        report.files.append(layout.api_environment)
        report.ask(lambda: _api(layout, report))
    if layout.logger_conf.exists():
        report.files.append(layout.logger_conf)
        report.ask(lambda: logs.check_api(layout.logger_conf))
    if not report.files:
        report.problems.append(f"There is no {layout.config_file} and no {layout.api_environment}; run rb_init first.")
    return report


def _is_alone(layout: Layout) -> bool:
    try:
        return ConfigFile.load(layout.config_file).node == AUTONOMOUS
    except RubackupError:
        return False


def _config_file(layout: Layout, report: Report) -> None:
    file = ConfigFile.load(layout.config_file)
    for role in sorted(NODES[file.node]):
        report.ask(lambda role=role: _role(file, role, layout, report))  # type: ignore[misc]
    if "server" in NODES[file.node] and not report.problems:
        note_upgrade(database_address(file.settings("server", layout)), report)


def _role(file: ConfigFile, role: str, layout: Layout, report: Report) -> None:
    settings = file.settings(role, layout)
    for question in _questions(role, layout, report):
        report.ask(lambda question=question: question(settings))  # type: ignore[misc]
    if role == "media":
        _note_name(settings, report)
    if role == "server" and not report.problems and not layout.api_environment.exists():
        _note_database_end(settings, report)


def _questions(role: str, layout: Layout, report: Report) -> Iterator[Question]:
    yield Settings.log_level
    if role == "alone":
        yield lambda found: _alone(layout, found)
        yield lambda found: found.port("APP_PORT")
        yield time_zone
    else:
        yield Settings.servers
    if role == "server":
        yield lambda found: found.port("CONTROL_PORT")
        yield lambda found: _listens(found, "CONTROL_HOST", report)
        yield lambda found: found.port("DB_PORT")
        yield database_address
        yield lambda found: resolved(found, "DB_HOST", "dbhost")
        yield time_zone
    else:
        yield _parallel
    if role == "media":
        yield lambda found: found.port("DATA_PORT")
        yield lambda found: _listens(found, "DATA_HOST", report)
    if role in {"client", "alone"}:
        yield lambda found: found.path("SNAPSHOT_DIR", Path("/run/rubackup/snapshots"))


def _listens(settings: Settings, env: str, report: Report) -> None:
    free = settings.flag("FREE_BIND", default=False)
    for address in settings.text(env).split(","):
        if not own_address(address, NAMES[env], free=free):
            report.notes.append(
                f"{NAMES[env]} {address} is none of this host's addresses now; with free-bind it serves there once it is."
            )


def _note_name(settings: Settings, report: Report) -> None:
    """What clients are told is for them to look up; this host may know no address of it."""
    name = settings.text("DATA_NAME", "")
    try:
        socket.getaddrinfo(name or None, 0)
    except (OSError, UnicodeError):
        report.notes.append(f"media-name {name} has no address on this host: is it one that every client knows?")


def _alone(layout: Layout, settings: Settings) -> None:
    from rubackup.roles.installed.alone import check_free  # noqa: PLC0415 - other hosts need no supervisor

    check_free(layout, settings)


def _parallel(settings: Settings) -> None:
    from rubackup.agent.tasks import MOST_PARALLEL_TASKS, PARALLEL_TASKS  # noqa: PLC0415 - an API's host needs none

    settings.number("PARALLEL_TASKS", PARALLEL_TASKS, least=1, most=MOST_PARALLEL_TASKS)


def _api(layout: Layout, report: Report) -> None:
    settings = api_settings(layout)
    questions: list[Question] = [
        lambda found: found.port("APP_PORT"),
        lambda found: found.port("DB_PORT"),
        lambda found: found.flag("DEBUG"),
        lambda found: found.flag("FREE_BIND", default=False),
        Settings.servers,
        time_zone,
        lambda found: resolved(found, "APP_HOST", "APP_HOST"),
        lambda found: resolved(found, "DB_HOST", "DB_HOST"),
        workers,
        worker_timeout,
        certificate.require_api,
        database_address,
        app_host,
    ]
    for question in questions:
        report.ask(lambda question=question: question(settings))  # type: ignore[misc]
    _note_end(settings, report)
    if not report.problems:
        _note_connections(settings, report)
        _note_database_end(settings, report)


def note_upgrade(address: DatabaseAddress, report: Report) -> None:
    """That an upgrade waits to be finished is forgotten easily."""
    try:
        sentence = asyncio.run(unfinished(address))
    except RubackupError as error:
        report.notes.append(f"PostgreSQL was not asked: {error.message}")
        return
    report.notes += [sentence] if sentence else []


def _note_end(settings: Settings, report: Report) -> None:
    """That a certificate has ended is wrong, that it will soon is to be known."""
    chain = settings.path("CERT_FILE")
    if text := expiry.warning(chain, settings.text("APP_HOST")):
        (report.problems if expiry.days_left(chain) < 0 else report.notes).append(text)


def _note_database_end(settings: Settings, report: Report) -> None:
    """The same of PostgreSQL's certificate."""
    address = database_address(settings)
    days = expiry.database_days_left(address)
    if text := expiry.database_warning(address.host, days):
        (report.problems if days < 0 else report.notes).append(text)


def _note_connections(settings: Settings, report: Report) -> None:
    """Whether PostgreSQL lets as many in as this API's workers need."""
    count, address = workers(settings), database_address(settings)
    try:
        report.notes += [f"PostgreSQL: {sentence}" for sentence in advice.advise(address, count)]
        most = access.limit_of(address)
    except RubackupError as error:
        report.notes.append(f"PostgreSQL was not asked: {error.message}")
        return
    if 0 <= most < count * advice.API_CONNECTIONS:
        report.notes.append(
            f"PostgreSQL: the role {address.user} may open {most} connections, and {count} workers need"
            f" {count * advice.API_CONNECTIONS}: rb_init --enroll-api {settings.text('APP_HOST')} --workers {count} on the"
            " primary server, or ALTER ROLE ... CONNECTION LIMIT."
        )


def resolved(settings: Settings, key: str, name: str) -> None:
    """ConfigurationFault when a host has no address; a folder of sockets needs none."""
    host = settings.text(key)
    if host.startswith("/"):
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise ConfigurationFault(f"{name} {host} has no address ({settings.source}); is it in /etc/hosts?") from error
