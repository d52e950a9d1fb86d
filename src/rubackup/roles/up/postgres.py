"""A PostgreSQL of our own: made, started, stopped, never left behind.

It listens on 127.0.0.1 and on a socket in a folder that only its user can open, asks for a
password (SCRAM) everywhere, and keeps the durable defaults. The folder of the data decides
the major version. PostgreSQL refuses to run as root: see `_identity` for what is done then.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.up import cluster
from rubackup.roles.up.binaries import Binaries, choose, copied
from rubackup.roles.up.cluster import ADMINISTRATOR, RETRY_SECONDS
from rubackup.roles.up.faults import StartupFault, explained
from rubackup.roles.up.ports import free_port
from rubackup.roles.up.process import NOBODY, Identity, Program, finish, spawn

READY_SECONDS = 300.0
"""How long a server that lives may take: after a crash it reads its log again first."""

_STILL_ENDING = re.compile(r"pre-existing shared memory block|lock file \"[^\"]*\" already exists")
_FATAL = re.compile(r"(?:FATAL|PANIC|ERROR|error):\s*(.+)")


class EmbeddedPostgres:
    """One cluster in `state_dir`/postgres/data, its socket in `runtime_dir`/pg.

    `settings` are added to its command line. `start` and `stop` may be repeated; both must
    be called from the thread that made the process, as its end is tied to that thread.
    Without a `port` it takes a free one that is none of `others`. `user`: whose the data are to be, and nobody else's.
    """

    def __init__(
        self,
        state_dir: Path,
        runtime_dir: Path,
        *,
        port: int = 0,
        log_file: Path | None = None,
        settings: Mapping[str, str] | None = None,
        identity: Identity | None = None,
        copy_binaries: bool = False,
        others: Collection[int] = (),
        user: tuple[int, int] | None = None,
    ) -> None:
        self.data = state_dir / "postgres" / "data"
        self.sockets = runtime_dir / "pg"
        self.log_file = log_file or state_dir / "log" / "postgres.log"
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.binaries: Binaries
        self.identity = Identity.OWN
        self._runtime = runtime_dir
        self._password_file = state_dir / "secrets" / "postgres-password"
        self._settings = dict(settings or {})
        self._wanted = identity
        self._copy = copy_binaries
        self._others = tuple(others)
        self._user = user

    # --- what others ask ---

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self.process.pid if self.process and self.process.poll() is None else None

    def address(self, database: str = "postgres") -> DatabaseAddress:
        """How the administrator connects."""
        return DatabaseAddress("127.0.0.1", self.port, ADMINISTRATOR, self._password_file.read_text().strip(), database)

    # --- life ---

    def prepare(self, retry_seconds: float = RETRY_SECONDS, check: Callable[[], None] = lambda: None) -> None:
        """Choose binaries and identity, and make the cluster where there is none. StartupFault says why not."""
        deadline = time.monotonic() + retry_seconds
        with explained("Cannot prepare PostgreSQL's folders"):
            for folder in (self.data.parent, self.log_file.parent, self._password_file.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._runtime.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._runtime.chmod(0o711)  # the server's user has to pass through
            self.binaries = choose(cluster.major(self.data))
            self.identity = self._identity()
            self.sockets.mkdir(mode=0o700, exist_ok=True)
            self._give(self.sockets)
            if not self.data.exists():
                self._initialise()
            if self._is_anothers(self.data):  # perhaps that of a server which runs
                lock = cluster.held(self.data, deadline, check)
                try:
                    self._give(self.data)
                finally:
                    os.close(lock)

    def start(self, retry_seconds: float = RETRY_SECONDS, check: Callable[[], None] = lambda: None) -> None:
        """Run the server until it is ready; StartupFault names what the server's log gave as the reason.

        `check` is called while waiting; what it raises ends the server and the call.
        """
        self.prepare(retry_seconds, check)
        deadline = time.monotonic() + retry_seconds
        wanted = self.port
        while True:
            check()
            self.port = wanted or free_port(self._others)
            told = self._attempt(deadline, check)
            if told is None:
                return
            again = _STILL_ENDING.search(told) or (not wanted and "could not bind" in told)
            if not again or time.monotonic() > deadline:
                raise StartupFault(f"PostgreSQL does not start: {_last_fatal(told)}.")
            time.sleep(0.1)

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """Stop the server in order; one that does not end in time is stopped at once, which loses nothing committed."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            finish(self.process, signal.SIGQUIT, 8)
        self.process = None

    # --- parts ---

    def _identity(self) -> Identity:
        """Who the server runs as, and from which copy of the binaries.

        Not root: the caller. Root: `nobody`; where `nobody` cannot reach the binaries (a checkout
        below /root), a user namespace; where there is none (most containers), `nobody` again with
        a copy of the binaries in the runtime folder.
        """
        if os.geteuid() != 0:
            return Identity.OWN
        if self._user is not None:
            return Identity.GIVEN
        candidates = [self._wanted] if self._wanted else [Identity.NOBODY, Identity.NAMESPACE]
        if not self._copy:
            for identity in candidates:
                if _runs(self.binaries, identity):
                    return identity
        self.binaries = copied(self.binaries, self._runtime / f"postgresql-{self.binaries.major}")
        for identity in candidates:
            if _runs(self.binaries, identity):
                return identity
        raise StartupFault(
            "PostgreSQL does not run as root, and neither the user 'nobody' nor a user namespace can be used here;"
            " start as an ordinary user or name another PostgreSQL in DB_HOST."
        )

    def _owner(self) -> tuple[int, int]:
        """User and group that files of the server have, seen from outside."""
        if self.identity is Identity.GIVEN and self._user is not None:
            return self._user
        return (NOBODY, NOBODY) if self.identity is Identity.NOBODY else (os.geteuid(), os.getegid())

    def _is_anothers(self, folder: Path) -> bool:
        return os.geteuid() == 0 and folder.stat().st_uid != self._owner()[0]

    def _give(self, folder: Path) -> None:
        if self._is_anothers(folder):
            cluster.give(folder, *self._owner())

    def _program(self, name: str, data: Path, arguments: list[str], sign: signal.Signals, *fds: int) -> Program:
        """A program of PostgreSQL on a data folder, the first of the descriptors.

        Another user gets it so: he need not be able to walk the path to it.
        """
        other = self.identity in {Identity.NOBODY, Identity.GIVEN}
        argv = [
            str(self.binaries.folder / name), "-D", f"/proc/self/fd/{fds[0]}" if other else str(data.absolute()), *arguments
        ]  # fmt: skip
        return Program(argv, cluster.ENVIRONMENT, self.identity, sign, "/", fds, self._owner() if other else None)

    def _initialise(self) -> None:
        """Make the cluster in a folder aside, which is renamed when it is complete."""
        fresh = self.data.with_name("data.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        password = secrets.token_urlsafe(24)
        handed = self.sockets / "password"
        _write_private(handed, password)
        self._give(handed)
        locale = ["--locale=C.UTF-8"] if self.binaries.major < 17 else ["--locale-provider=builtin", "--locale=C.UTF-8"]
        arguments = ["-U", ADMINISTRATOR, "-E", "UTF8", "-A", "scram-sha-256", f"--pwfile={handed}"]
        data_fd = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY)
        try:
            program = self._program("initdb", fresh, [*arguments, "--data-checksums", *locale], signal.SIGKILL, data_fd)
            child = spawn(program, subprocess.PIPE)
            told = child.communicate(timeout=300)[0].decode(errors="replace")
        finally:
            os.close(data_fd)
            handed.unlink()
        if child.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StartupFault(f"PostgreSQL cannot make its data folder: {_last_fatal(told)}.")
        _write_private(self._password_file, password)
        fresh.rename(self.data)
        _sync_folder(self.data.parent)

    def _attempt(self, deadline: float, check: Callable[[], None]) -> str | None:
        """Start once. None when the server is ready, else what it wrote before it ended."""
        arguments = cluster.settings("127.0.0.1", self.port, self.sockets, self._settings)
        fds = [os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)]
        try:
            fds.append(cluster.held(self.data, deadline, check))
            with self.log_file.open("ab") as log:
                before = log.tell()
                program = self._program("postgres", self.data, arguments, signal.SIGQUIT, *fds)
                self.process = spawn(program, log)
        finally:
            for fd in fds:
                os.close(fd)
        try:
            if self._becomes_ready(check):
                return None
        except BaseException:
            self.stop()
            raise
        with self.log_file.open("rb") as log:
            log.seek(before)
            return log.read(65536).decode(errors="replace")

    def _becomes_ready(self, check: Callable[[], None]) -> bool:
        """Whether it did; False when it ended by itself."""
        assert self.process is not None
        deadline = time.monotonic() + READY_SECONDS
        while self.process.poll() is None:
            if self._ready():
                return True
            if time.monotonic() > deadline:
                raise StartupFault(f"PostgreSQL does not become ready; its log is {self.log_file}.")
            check()
            time.sleep(0.02)
        return False

    def _ready(self) -> bool:
        """postmaster.pid tells, but only when it is this server's: an old one says `ready` too."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return self.pid is not None and len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


def _runs(binaries: Binaries, identity: Identity) -> bool:
    user = (NOBODY, NOBODY) if identity is Identity.NOBODY else None
    program = Program([str(binaries.folder / "initdb"), "--version"], cluster.ENVIRONMENT, identity, user=user)
    try:
        return finish(spawn(program, subprocess.DEVNULL), signal.SIGCONT, 20) == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _last_fatal(told: str) -> str:
    reasons = _FATAL.findall(told) or [line for line in told.splitlines() if line.strip()] or ["it gave no reason"]
    return str(reasons[-1]).strip().rstrip(".")


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
