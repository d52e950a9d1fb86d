"""An installation below a folder of its own: the programs, the files that packages bring, and calls of its API."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.installed.layout import PREFIX, VARIABLE, Layout
from rubackup.roles.up.ports import free_ports
from support.system import patiently

PACKAGING = Path(__file__).parents[2] / "packaging"
SUPERUSER_PASSWORD = "a-password-of-tests"
PROGRAMS = {
    "rb_init": "rubackup.cli.init:main",
    "rubackup": "rubackup.cli.main:main",
    "rb": "rubackup.cli.rb.main:main",
    "rubackup_alone": "rubackup.cli.alone:alone",
    **{f"rubackup_{role}": f"rubackup.cli.programs:{role}" for role in ("api", "server", "media", "client")},
}


@dataclass
class Installation:
    """What packages would have put below `layout.root`."""

    layout: Layout
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def lay(cls, root: Path) -> Installation:
        """The configuration files of the packages, their prefix replaced."""
        layout = Layout(root)
        (root / "etc").mkdir(parents=True)
        for file in sorted((PACKAGING / "etc").iterdir()):
            (root / "etc" / file.name).write_text(file.read_text().replace(str(PREFIX), str(root)))
        return cls(layout)

    def command(self, program: str, *arguments: str) -> list[str]:
        """The program with these arguments, run by this Python."""
        module, function = PROGRAMS[program].split(":")
        start = f"import sys; from {module} import {function} as f; sys.argv[0] = {program!r}; sys.exit(f())"
        return [sys.executable, "-c", start, *arguments]

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of a program."""
        return {**os.environ, VARIABLE: str(self.layout.root), "MEMORY_STORAGES": "True", **extra}

    def run(self, program: str, *arguments: str, status: int = 0, **environment: str) -> str:
        """What a program says on both outputs; it must end with `status`."""
        result = subprocess.run(
            self.command(program, *arguments), capture_output=True, text=True, timeout=patiently(60), check=False,
            env=self.environment(**environment), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert result.returncode == status, (
            f"{program} {arguments}: {result.returncode}\n{result.stdout}{result.stderr}"
        )
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr

    def dialogue(self, answers: Sequence[tuple[str, str]], *arguments: str, status: int = 0) -> str:
        """`rb_init` at a terminal: each answer is given when its question has been asked; everything that was said."""
        command = self.command("rb_init", *arguments)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(command[0], command, self.environment())
        said = b""
        try:
            for question, answer in answers:
                said += _until(terminal, question.encode())
                os.write(
                    terminal, answer.encode() + (b"" if answer and answer < " " else b"\n")
                )  # a control key is a key alone
            said += _until(terminal, None, again=answers[-1][1] if "\x03" in answers[-1][1] else "")
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(terminal)
            _, ended = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(ended) == status, said.decode()
        return said.decode()

    def start(self, role: str, **environment: str) -> None:
        """`--start` in the background, until it serves or has ended."""
        if (before := self.running.get(role)) is not None:
            before.wait(patiently(30))
        ready = self.layout.root / f"{role}.ready"
        ready.unlink(missing_ok=True)
        log = (self.layout.root / f"{role}.out").open("ab")
        environment = self.environment(READY_FILE=str(ready), **environment)
        process = subprocess.Popen(self.command(f"rubackup_{role}", "--start"), env=environment, stdout=log, stderr=log)
        log.close()
        self.running[role] = process
        deadline = time.monotonic() + patiently(60)
        while not ready.exists():
            assert process.poll() is None, self.output(role)
            assert time.monotonic() < deadline, self.output(role)
            time.sleep(0.02)

    def output(self, role: str) -> str:
        """What a program that `start` started has said."""
        return (self.layout.root / f"{role}.out").read_text()

    def stop_all(self) -> None:
        """End what runs."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(patiently(30))

    def init_primary(self, root: Path, postgres: DatabaseAddress, name: str, *more: str) -> str:
        """`rb_init -n primary-server` against a PostgreSQL; what it says."""
        admin, superuser = root / "admin", root / "superuser"
        admin.write_text(postgres.password)
        superuser.write_text(SUPERUSER_PASSWORD)
        return self.run(
            "rb_init", "-y", "-n", "primary-server", "-H", postgres.host, "--db-port", str(postgres.port),
            "--db-name", name, "--db-user", name, "--db-admin", postgres.user, "-X", str(admin), "-Y", str(superuser), *more,
        )  # fmt: skip

    def set_ports(self, postgres: DatabaseAddress, name: str) -> dict[str, int]:
        """Free ports in both configuration files."""
        api, server, media = free_ports(3)
        self.layout.api_environment.write_text(
            f"APP_HOST=localhost\nAPP_PORT={api}\nDB_HOST={postgres.host}\nDB_PORT={postgres.port}\nDB_NAME={name}\n"
            f"DB_USER={name}\nRB_SERVER_HOST=localhost:{server}\nDEBUG=False\n"
        )
        config = self.layout.config_file
        text = config.read_text().replace("#server-port 9991", f"server-port {server}")
        text = text.replace("#media-port 9993", f"media-port {media}")
        config.write_text(text.replace("who-is-primary-server localhost", f"who-is-primary-server localhost:{server}"))
        return {"api": api, "server": server, "media": media}

    @contextlib.contextmanager
    def api(self, port: int) -> Iterator[httpx.Client]:
        """A client of the API that verifies it by this installation's root."""
        context = ssl.create_default_context(cafile=str(self.layout.root_certificate))
        with httpx.Client(base_url=f"https://localhost:{port}/api/v1", verify=context, timeout=120) as client:
            yield client


def _until(terminal: int, text: bytes | None, seconds: float = 60, again: str = "") -> bytes:
    """What a terminal shows up to `text`, or to its end. `again` is typed once a second: Ctrl-C just before a read is lost."""
    shown = b""
    until = time.monotonic() + patiently(seconds)
    while text is None or text not in shown:
        assert time.monotonic() < until, shown
        if not select.select([terminal], [], [], 1)[0]:
            os.write(terminal, again.encode())
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:  # how Linux tells that the other side is closed
            part = b""
        if not part:
            assert text is None, shown
            return shown
        shown += part
    return shown
