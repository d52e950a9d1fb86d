"""The S3 server of the tests as a process: `python -m moving.bucket SEED` prints where it answers and ends with its input.

One request of some hundred is lost before or after its effect, or refused for once.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Final

from support.s3server import S3Server

_LOST: Final = 0.004
_LOGGED: Final = 1_000


def main(seed: int) -> None:
    """Serve until the input ends."""
    server, toss = S3Server(), Random(seed)

    def script(number: int, method: str, key: str) -> str | None:
        if number > _LOGGED:
            del server.log[:]
        return toss.choice(("before", "after", "503 before", "500 after")) if toss.random() < _LOST else None

    server.bucket()
    server.script = script
    server.start()
    print(server.endpoint, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
