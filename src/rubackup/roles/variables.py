"""Every setting of the processes: who reads it, what it means, what is allowed, and what holds when nobody sets it.

`rubackup up` writes most of them itself. What an administrator of an installation may set is called otherwise there:
`installed.config_file`, `installed.environment`. Pages of the manual are made from all three (scripts/generate-reference).
"""

from __future__ import annotations

from dataclasses import dataclass

from rubackup.agent.tasks import MOST_PARALLEL_TASKS, PARALLEL_TASKS
from rubackup.catalog.encryption import MODES
from rubackup.roles.host import LONGEST_GRACE
from rubackup.roles.process import MOST_WORKERS, WORKER_TIMEOUT_SECONDS

PORT = "a port"
FILE = "the absolute path of a file"
FOLDER = "the absolute path of a folder"
FOLDERS = "absolute paths, separated by blanks and quoted as for a shell"
SWITCH = "`True`, `False`"
HOST = "a name or an address"
NAME = "a name"
ZONE = "an IANA name such as `Europe/Moscow`"


@dataclass(frozen=True)
class Variable:
    """One setting. `default` is written as it stands in a table."""

    name: str
    readers: tuple[str, ...]
    meaning: str
    allowed: str
    default: str = ""


ALL = ("api", "server", "media", "client")
DATABASE = ("api", "server", "up")

VARIABLES = (
    Variable("APP_HOST", ("api", "up"), "name under which the API is called; cookies are set for it only", HOST, "`localhost`"),
    Variable("APP_PORT", ("api",), "port of the API; under `rubackup up` it is `--port`", PORT, "`5656`"),
    Variable("DB_HOST", DATABASE, "where PostgreSQL is; under `rubackup up`: take this one in place of an embedded one", "a name, an address, or the folder of its socket"),
    Variable("DB_PORT", DATABASE, "its port", PORT, "`5432`"),
    Variable(
        "DB_NAME", DATABASE,
        "service database; it must order text by code point (`LC_COLLATE 'C'`, `LC_CTYPE 'C.UTF-8'`, or the builtin `C.UTF-8` from PostgreSQL 17 on), as one"
        " that `rubackup up` or `rb_init` makes does", NAME, "`rubackup`",
    ),
    Variable("DB_USER", DATABASE, "its role", NAME, "`rubackup`"),
    Variable("DB_PASSWORD_FILE", DATABASE, "file with the role's password", FILE),
    Variable("DB_ADMIN_USER", ("up",), "who makes role and database there", NAME),
    Variable("DB_ADMIN_PASSWORD_FILE", ("up",), "file with the password of the same", FILE),
    Variable("DB_ADMIN_NAME", ("up",), "database to connect to for it", NAME, "`postgres`"),
    Variable(
        "DB_SSLMODE", ("api", "server"),
        "how the way to PostgreSQL is encrypted, by libpq's names; `prefer` encrypts where PostgreSQL does, and verifies nothing",
        ", ".join(f"`{mode}`" for mode in MODES), "`verify-full` with `DB_ROOT_CERT`, else `prefer`",
    ),
    Variable("DB_ROOT_CERT", ("api", "server"), "certificate of the CA that PostgreSQL's leads to", FILE),
    Variable("RUBACKUP_POSTGRES_BIN", ("up",), "folder with PostgreSQL's programs", FOLDER, "newest of the host, else the wheel's"),
    Variable("RB_SERVER_HOST", ("api", "media", "client"), "servers to dial; the port is 9991 unless given", "`host:port,host:port`"),
    Variable(
        "RESERVE_SERVERS", ("up",),
        "further servers on the same catalogue: the hosts and the API of this machine dial them, too ([design/dispatch.md](design/dispatch.md), Two servers)",
        "`host:port,host:port`", "none",
    ),
    Variable(
        "PARALLEL_TASKS", ("media", "client", "up"), "how many tasks the host works on at a time; more wait in the queue", f"1 to {MOST_PARALLEL_TASKS}",
        f"`{PARALLEL_TASKS}`",
    ),
    Variable("CONTROL_HOST", ("server",), "where hosts and the API dial in", "addresses, separated by commas", "`127.0.0.1`"),
    Variable("CONTROL_PORT", ("server",), "port of the same", PORT, "`9991`"),
    Variable("DATA_HOST", ("media",), "where clients send and fetch data", HOST, "`127.0.0.1`"),
    Variable("DATA_PORT", ("media",), "port of the same", PORT, "`9993`"),
    Variable("DATA_NAME", ("media",), "name or address that clients are told", HOST, "`DATA_HOST`"),
    Variable("FREE_BIND", ("api", "server", "media"), "listen on an address, too, that the host has not now: it moves between hosts, or comes late", "`True`, `False`", "`False`"),
    Variable("HOSTNAME", ("server", "media", "client"), "name of the host as administrators see it", NAME),
    Variable("HWID", ("server", "media", "client"), "its hardware id", "16 hex digits for a client, 64 for servers"),
    Variable("KEY_FILE", ALL, "own key", FILE),
    Variable("CERT_FILE", ALL, "own certificate with its issuer", FILE),
    Variable("ROOT_CA_FILE", ALL, "root certificate", FILE),
    Variable(
        "ROOT_CA_FINGERPRINT", ("media", "client"), "SHA-256 of the root certificate, enough when the root itself is not there yet", "64 hex digits"
    ),
    Variable("ISSUING_KEY_FILE", ("server",), "key of the CA that signs the certificates of hosts", FILE),
    Variable("ISSUING_CERT_FILE", ("server",), "its certificate", FILE),
    Variable(
        "CLIENT_SOCKET", ("client",),
        "socket of the tools of the host, for root and the process' user; `rubackup up` puts it at `run/client.sock` of its state", FILE,
        "`client.sock` beside `KEY_FILE`",
    ),
    Variable(
        "MASTER_KEY", ("client",),
        "file of the key that encrypted copies are made with; made when it is first needed, older keys in `old` beside it; its folder is protected"
        " ([encryption.md](encryption.md))", FILE, "`master-key` beside `KEY_FILE`",
    ),
    Variable(
        "STATE_DIR", ("api", "media", "client"),
        "folder for indexes and notes; a client has them only for Client defined pools, the API keeps the secret of sessions in it (`token-secret`)",
        FOLDER, "of a client the folder of `KEY_FILE`",
    ),
    Variable(
        "CLIENT_DEFINED_STORAGES", ("client", "up"),
        "folders for storages of Client defined pools; the name is that of the row in `client_defined_storages`. The folders must be there, belong to root or"
        " the process' user, and be writable by no others; they are neither copied nor restored into",
        "pairs such as `nas=/mnt/nas/backup`, separated by blanks and quoted as for a shell (`'big disk=/srv/big'`)", "none",
    ),
    Variable(
        "MEMORY_STORAGES", ("media", "client", "up"), "`True`: storages may lie in tmpfs and ramfs, which lose them with a restart; for tests only", SWITCH,
        "`False`",
    ),
    Variable(
        "GC_GRACE_SECONDS", ("media", "client", "up"),
        "seconds from the mark of a pack that nothing needs to its removal. Less than 900 only where nothing is restored, verified or copied while a pool is"
        " cleaned: such a reader may find its pack gone and fail, and has to be repeated; no copy is lost. 0, for benchmarks and tests, removes within the"
        " cleaning itself", f"0 to {LONGEST_GRACE}", "`900`",
    ),
    Variable(
        "RETENTION_SECONDS", ("server", "up"), "seconds from one round of retention to the next ([design/retention.md](design/retention.md))", "1 to 3600", "`60`"
    ),
    Variable(
        "ROUNDS_SECONDS", ("server", "up"),
        "seconds from one line in the server's log about how long its rounds take to the next ([performance.md](performance.md))", "1 to 3600", "`60`",
    ),
    Variable("ALONE_DIR", ("alone",), "the folder that holds everything of an autonomous client; `autonomous-directory` in `config.file`", FOLDER),
    Variable(
        "SNAPSHOT_DIR", ("client",), "folder below which snapshots are mounted while they are read; never part of a copy", FOLDER, "`/run/rubackup/snapshots`"
    ),
    Variable(
        "PROTECTED_DIRS", ("client",),
        "folders that are never copied and never restored into; the folder of `KEY_FILE` always is one; `rubackup up` writes its state here", FOLDERS, "none",
    ),
    Variable("WORKERS", ("api",), "processes that answer calls", f"1 to {MOST_WORKERS}", "`1`"),
    Variable(
        "WORKER_TIMEOUT", ("api",),
        "seconds after which one of several `WORKERS` is ended and replaced whose event loop does not come round; until it serves it has 60",
        "2 to 3600", f"`{WORKER_TIMEOUT_SECONDS}`",
    ),
    Variable(
        "TOKEN_SECRET_FILE", ("api",),
        "secret of the session tokens, at least 32 bytes, for several APIs that share their sessions; unless it is named, each API makes one of its own and keeps it",
        FILE, "`token-secret` in `STATE_DIR`",
    ),
    Variable(
        "METRICS_TOKEN_FILE", ("api",), "token of at least 16 characters that opens `/metrics` to other hosts, as `Authorization: Bearer`", FILE,
        "only this host may read it",
    ),
    Variable("COOKIE_DOMAIN", ("api",), "domain of the session cookies", NAME, "the host alone"),
    Variable(
        "TIMEZONE", ("api", "server", "up"),
        "instants without a zone are read in it, times of day such as the service window, and the cron fields of schedules (there the leading server's)", ZONE,
        "that of the machine",
    ),
    Variable("READY_FILE", ALL, "written when the process serves: its pid and port", FILE),
    Variable("LOG_LEVEL", ALL, "what is logged; under `rubackup up` it is `--debug`", "`DEBUG`, `INFO`, `WARNING`, `ERROR`", "`INFO`"),
    Variable("DEBUG", ALL, "`True`: everything is logged", SWITCH, "`False`"),
)  # fmt: skip
BY_NAME = {variable.name: variable for variable in VARIABLES}
