"""The socket of the client's process: who may ask it, what it bears, and what it passes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from rubackup.client.tools import sockets
from rubackup.client.tools.ask import ask
from rubackup.client.tools.listener import CONNECTIONS, REQUEST_BYTES, ToolListener
from rubackup.domain.errors import Busy, Conflict, Forbidden, Refused, RubackupError, Unavailable, WireFault
from rubackup.wire import framing
from rubackup.wire.messages import Ack, AskAgent, AskOwnTasks, Fault, LocalUser, Message, Queued


class Process:
    """A listener on a loop of its own thread; it notes what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[Message, LocalUser]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(ToolListener(self.path, self._answer).run())
        self._started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _answer(self, message: Message, user: LocalUser) -> Message:
        self.asked.append((message, user))
        await asyncio.to_thread(self.gate.wait)
        if isinstance(message, AskOwnTasks):
            raise Conflict("No tasks today.")
        return Queued(task=7)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A process that listens in a folder of its own."""
    with Process(tmp_path / "client.sock") as found:
        yield found


def test_a_tool_is_answered_and_known_by_the_kernels_word(process):
    """The user is that of the connection."""
    assert ask(process.path, AskAgent(), Queued) == Queued(task=7)
    (_, user) = process.asked[0]
    assert user.uid == os.getuid()
    assert user.name


def test_errors_arrive_as_what_they_are(process):
    """A refusal of the server is the tool's."""
    with pytest.raises(Conflict, match="No tasks today"):
        ask(process.path, AskOwnTasks(), Queued)


def test_another_answer_than_was_due_is_an_error(process):
    """The tool does not take one message for another."""
    with pytest.raises(WireFault):
        ask(process.path, AskAgent(), Ack)


def test_only_the_own_user_may_reach_the_socket(process):
    """0600."""
    assert stat.S_IMODE(process.path.stat().st_mode) == 0o600


def test_the_path_may_be_longer_than_a_sockets_name(tmp_path):
    """The socket is reached through its folder."""
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    with Process(folder / "client.sock") as found:
        assert ask(found.path, AskAgent(), Queued).task == 7


def test_the_socket_is_gone_with_its_process(tmp_path):
    """Afterwards nobody listens there, and the sentence says so."""
    path = tmp_path / "client.sock"
    with Process(path):
        pass
    assert not path.exists()
    with pytest.raises(Unavailable, match="No client listens"):
        ask(path, AskAgent(), Queued)


def test_what_a_dead_process_left_is_replaced(tmp_path):
    """A socket that nobody listens on is no obstacle."""
    path = tmp_path / "client.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Process(path):
        assert ask(path, AskAgent(), Queued).task == 7


def test_a_living_process_keeps_its_socket(process):
    """A second one is refused; so is a path where something else lies."""
    with pytest.raises(Refused, match="Another process listens"):
        sockets.listen(process.path)
    (process.path.parent / "file").write_text("x")
    with pytest.raises(Refused, match="no socket"):
        sockets.listen(process.path.parent / "file")
    assert ask(process.path, AskAgent(), Queued).task == 7


HOSTILE = """
import os, sys
from pathlib import Path
from rubackup.client.tools.ask import ask
from rubackup.wire.messages import AskAgent, Queued
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    print(ask(Path(sys.argv[1]), AskAgent(), Queued))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_even_when_the_mode_was_opened():
    """By the file's mode first, and by the kernel's word when somebody has changed that."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with Process(Path(folder) / "client.sock") as found:
            first = as_nobody(found.path)
            found.path.chmod(0o666)
            second = as_nobody(found.path)

            assert first.startswith(Forbidden.__name__), first
            assert second.startswith(Refused.__name__), second
            assert found.asked == []


def as_nobody(path: Path) -> str:
    """What a tool of the user nobody is told."""
    command = [sys.executable, "-c", HOSTILE, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def raw(process: Process, data: bytes) -> bytes:
    """What comes back for these bytes, up to the end."""
    with sockets.connect(process.path, 60) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(OSError):
            while piece := sock.recv(65536):
                answer += piece
    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0", struct.pack(">IB", 10, 1), struct.pack(">IB", 3, 1) + b"abc", struct.pack(">IB", 3, 2) + b"abc",
        struct.pack(">IB", REQUEST_BYTES + 1, 1), struct.pack(">IB", 2**32 - 1, 1), struct.pack(">IB", 1, 99) + b"a",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_ends_the_connection_and_nothing_else(process, data):
    """Nothing reaches the server, and the next tool is served."""
    answer = raw(process, data)

    if answer:
        assert isinstance(framing.decode(answer[5:]), Fault)
    assert process.asked == []
    assert ask(process.path, AskAgent(), Queued).task == 7


def test_too_many_tools_at_once_are_told_so(process):
    """The bound holds while answers are waited for; afterwards all is well."""
    process.gate.clear()
    held = [sockets.connect(process.path, 60) for _ in range(CONNECTIONS)]
    for sock in held:
        sock.sendall(framing.frame(AskAgent()))
    with pytest.raises(RubackupError) as caught:
        ask(process.path, AskAgent(), Queued)
    process.gate.set()
    for sock in held:
        assert sock.recv(1)
        sock.close()

    assert isinstance(caught.value, Busy)
    assert len(process.asked) <= CONNECTIONS
