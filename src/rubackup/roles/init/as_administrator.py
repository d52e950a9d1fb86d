"""Run by `rb_init` as PostgreSQL's system user: makes role and database over the socket. The wanted address is read from stdin."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import RubackupError
from rubackup.roles.up.catalogue import make_database


def main() -> int:
    """Entry; what is wrong is a sentence on standard error."""
    from rubackup.roles.init.database import SOCKETS  # noqa: PLC0415 - that module starts this one

    wanted = DatabaseAddress(**json.load(sys.stdin))
    administrator = replace(wanted, host=str(SOCKETS), user=sys.argv[1], password="", database="postgres")
    try:
        asyncio.run(make_database(administrator, wanted))
    except RubackupError as error:
        sys.stderr.write(error.message + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
