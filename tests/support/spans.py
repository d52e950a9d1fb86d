"""Code within the sentences and tables of the manual: of which kind it is, and whether it is so.

`judge` says both. What is of no kind that is known here is wrong, so that nothing escapes.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support import commands, known
from support.manual import FENCE, ROOT, SUFFIX, user_pages
from support.sources import says, texts

README = "README.md"
SPAN = re.compile(r"`([^`\n]+)`")
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
RELATIVE = ("rb", "rubackup", "rubackup client", "rb repository", "rb task_queue")
"""What a command is a part of when a page leaves the beginning away."""
SYSTEM = {
    "apt-get", "bash", "chattr", "chmod", "curl", "dpkg", "eval", "head", "initdb", "journalctl", "jq", "lsattr", "pg_dump", "postgres", "psql", "python3", "python3.11",
    "rpm", "source", "systemctl", "systemd-analyze", "venv", "zsh",
}  # fmt: skip
"""Programs of the system that the manual names."""
VERBS = {"daemon-reload", "disable", "enable", "reload", "restart", "start", "status", "stop"}
"""What systemctl is told to do."""
ELSEWHERE = {
    "/etc/hosts", "/proc", "/run", "/tmp", "/", "/dev/sgN", "eth0", "compinit", "listen_addresses", "max_connections", "pg_hba.conf", "shared_buffers", "temp_file_limit", "work_mem",
    "default_transaction_read_only",
    "superuser_reserved_connections = 50", "tzdata", "Europe/Moscow", "C.UTF-8", "LC_COLLATE 'C'", "LC_CTYPE 'C.UTF-8'", "LANG", "HOME", "PATH",
    "GET", "POST", "PATCH", "DELETE", "null", "nobody", "libbotan-2-19", "cryptography", "process_*",
    "ALTER DATABASE rubackup RENAME TO rubackup_damaged", "rubackup_damaged", "purge",
}  # fmt: skip
"""Names of the system, of PostgreSQL, of HTTP and of libraries, none of the product's."""
TYPED = {
    "\\", '\\"', "\\\\", "\\xff", "\\x0a", "\\x5c", "…", "-", "#", "&mode=manual", "'big disk=/srv/big'", "nas=/mnt/nas/backup", "= ~ < >", "<", "=", ">", "~",
    "key value", "KEY=value",
}  # fmt: skip
"""Signs and samples that are typed, which name nothing."""
FILES = {"rubackup pool 0", "rubackup master-key 1"}
"""How files begin, though they look like commands."""
LITERAL = re.compile(r"[0-9][0-9.:,]*")
OPEN = re.compile(r"<[^>]*>|\b[A-Z]{2,}\b|…|\*")


@dataclass(frozen=True)
class Span:
    """One piece of code in a sentence."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: `{self.text}`"


@cache
def pages() -> dict[str, Path]:
    """What a user reads, in both languages."""
    both = {path.name: path for suffix in (".md", SUFFIX) for path in user_pages(suffix).values()}
    return both | {README: ROOT / README}


@cache
def _text(name: str) -> str:
    return pages()[name].read_text(encoding="utf-8")


def spans(name: str) -> Iterator[Span]:
    """The code of a page that stands in its sentences, its tables, and its indented lists of commands and folders."""
    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), _text(name))
    for match in SPAN.finditer(text):
        yield Span(name, text.count("\n", 0, match.start()) + 1, match[1].replace("\\|", "|"))
    for match in INDENTED.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        for number, line in enumerate(match[0].splitlines()):
            code = re.sub(r"\s+#.*|\s{2,}.*", "", line.strip())
            if code.split(" ")[0] in commands.SCRIPTS or code.startswith(("scripts/", ".venv/bin/", "/opt/", "src/")):
                yield Span(name, first + number, code)


def a_literal(span: Span) -> str | None:
    """A number, a time, an address, a sign: nothing that could be looked up."""
    return "" if LITERAL.fullmatch(span.text) or span.text in TYPED or span.text in ELSEWHERE else None


def a_script(span: Span) -> str | None:
    """A file of the repository; a script's own words tell of its flags."""
    first, *words = span.text.split()
    if span.page == README and (ROOT / first).exists():
        return ""
    if not first.startswith(("scripts/", ".ci/", "tests/", "src/")):
        return None
    file = ROOT / first
    if not file.exists():
        return "it is not there"
    said = file.read_text(encoding="utf-8")
    said += "".join((ROOT / other).read_text(encoding="utf-8") for other in re.findall(r"packaging/build\.py", said))
    flags = re.findall(r"--[a-z-]+", " ".join(words))
    passed_on = commands.commands().get(f"rubackup {file.name}", frozenset())
    return next((f"it has no {flag}" for flag in flags if flag not in said and flag not in passed_on), "")


def a_message_of_a_table(span: Span) -> str | None:
    """What the product says, where that stands first in a row; some begin as a command does."""
    text = _text(span.page).splitlines()[span.line - 1]
    return "" if text.startswith(f"| `{span.text}`") and " " in span.text and a_message(span) == "" else None


def a_command(span: Span) -> str | None:
    """One of the product: its own parser takes it."""
    text = span.text.replace(".venv/bin/", "")
    if text in FILES:
        return "" if any(one.startswith(text) for one in texts()) else "no file begins so"
    if eval_ := re.fullmatch(r'eval "\$\((.*)\)"', text):
        return commands.fault(eval_[1])
    if " | " in text and all(part.split()[0] in commands.SCRIPTS.keys() | SYSTEM for part in text.split(" | ")):
        return "".join(commands.fault(part) for part in text.split(" | ") if part.split()[0] in commands.SCRIPTS)
    first = text.split(" ")[0]
    if first in commands.SCRIPTS:
        return commands.fault(text)
    if re.match(r"(rb|rubackup)_\w+ ", text):
        return f"there is no program {first}"
    if " " not in text or not re.match(r"[a-z_-]+ ", text):
        return None
    found = [commands.fault(f"{outer} {text} …") for outer in RELATIVE if f"{outer} {first}" in commands.commands()]
    return None if not found else "" if "" in found else found[0] if re.search(r" -|\b[A-Z]+\b", text) else None


def a_system_command(span: Span) -> str | None:
    """One of the system; units that it names are those of packages."""
    first, *words = span.text.split()
    if first not in SYSTEM:
        return None
    ours = known.units() | {unit.removesuffix(".service") for unit in known.units()}
    named = [Path(word).name for word in words if word[0] != "-"]
    if first == "systemctl" and named:
        lost = [word for word in named[1:] if word not in ours]
        return f"there is no unit {lost[0]}" if lost else "" if named[0] in VERBS else f"systemctl has no {named[0]}"
    if first == "journalctl":
        return "" if set(named) <= ours else f"there is no unit {named[0]}"
    if first == "curl":
        return next((f"curl has no {word}" for word in words if word[0] == "-" and word != "-" and not _curl(word)), "")
    return ""


@cache
def _curl(flag: str) -> bool:
    if not shutil.which("curl"):
        return True  # the tests say that it is missing
    told = subprocess.run(["curl", "--help", "all"], capture_output=True, text=True, check=False).stdout
    return re.search(rf"^\s*(?:-\w, )?{re.escape(flag)}(?:,| )", told, re.MULTILINE) is not None


def a_query(span: Span) -> str | None:
    """Of the service database; the tests with a system run it."""
    return (
        "" if re.fullmatch(r"SELECT [a-z_, ]+ FROM [a-z_]+( ORDER BY \w+( DESC)?)?( LIMIT \d+)?", span.text) else None
    )


def a_flag(span: Span) -> str | None:
    """One that a command has of which the page speaks, with others beside it; or of curl where curl is spoken of."""
    if not re.match(r"\[?--?[a-zA-Z]", span.text):
        return None
    flag, *more = re.findall(r"(?<![\w-])--?[a-zA-Z][\w.-]*", span.text)
    page = _text(span.page)
    holders = [held for path, held in commands.commands().items() if flag in held and _spoken_of(path, span.page)]
    if field := re.search(r"\(data\.(\w+)\)", span.text):
        return "" if holders and field[1] in known.fields() else "there is no such field"
    if flag == "--help" or any(held.issuperset(more) for held in holders) or ("curl" in page and _curl(flag)):
        return ""
    return "no command of which the page speaks has it"


@cache
def _spoken_of(path: str, page: str) -> bool:
    """Whether a page names the program of a command, and its last sub-command."""
    words = path.split()
    return all(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _text(page)) for word in (words[0], words[-1]))


def a_call(span: Span) -> str | None:
    """A path of the API, with its method and query."""
    match = re.fullmatch(r"(?:(GET|POST|PATCH|DELETE) )?(/[a-z][\w/{}.]*)(?:\?(.*))?", span.text)
    if not match:
        return None
    method, path, query = match[1], match[2].removeprefix("/api/v1"), match[3] or ""
    if path in {"/healthz", "/metrics", "/", "/openapi.json"}:
        return ""
    described = known.openapi()["paths"].get(path)
    if described is None:
        part = any(one.endswith(path) for one in known.openapi()["paths"])
        return "there is no such path" if method else "" if part else None
    if method and method.lower() not in described:
        return f"there is no {method} of it"
    given = [one for kind in described.values() for one in kind.get("parameters", [])]
    taken = {one.get("name") or one["$ref"].rpartition("/")[2] for one in given}
    asked = [part.partition("=")[0] for part in query.split("&") if part]
    return next((f"it has no parameter {one}" for one in asked if one not in taken), "")


def a_document(span: Span) -> str | None:
    """A piece of JSON: its keys are fields."""
    if not span.text.startswith("{"):
        return None
    keys = re.findall(r'"(\w+)":', span.text) or re.findall(r"\w+", span.text)
    return next((f"there is no field {key}" for key in keys if key not in known.fields() | {"data"}), "")


def a_path(span: Span) -> str | None:
    """A file or folder: packages have it, or the product makes it. Of one below a folder of the user's the name counts."""
    if not re.fullmatch(r"~?[\w.<> …*-]*(?:/[\w.<> …*-]*)+|[\w-]+\.[a-z.]+", span.text):
        return None
    wanted = re.sub(r"^~/\.config/rubackup/[^/]*", "", span.text).strip("/")
    pattern = "".join(
        "[^/\n]*" if OPEN.fullmatch(part) else re.escape(part) for part in re.split(f"({OPEN.pattern})", wanted)
    )
    if re.search(rf"^(?:.*/)?{pattern}$", known.paths(), re.MULTILINE):
        return ""
    if span.text.startswith(("/opt/rubackup", "keys/")):
        return "nothing makes it"
    fixed = {piece.strip() for part in wanted.split("/") for piece in OPEN.split(part)} - {""}
    return "" if fixed and fixed <= texts().keys() else None


def a_call_of_python(span: Span) -> str | None:
    """Of the client for programs: what is called is there, and has these parameters."""
    name, _sign, value = span.text.partition("=")
    if re.fullmatch(r"[a-z_]+=[\w.]+", span.text):
        defaults = {one for called in known.sdk() for one in known.parameters(called).get(name, ())}
        wanted = value if not value.isdigit() else f"{float(value)}"
        return None if not defaults else "" if value == "True" or wanted in defaults else f"it is {defaults}"
    if not re.fullmatch(r"\.?[\w.]+\(.*\)(?:\.\w+\(.*\))?", span.text):
        return "" if span.text.startswith("event.") and span.text[6:] in known.sdk() else None
    for called, given in re.findall(r"(\w+)\(((?:[^()]|\(.*?\))*)\)", span.text):
        if called not in known.sdk():
            return f"the client has no {called}"
        for keyword in re.findall(r"(\w+)=", given):
            if keyword not in known.parameters(called):
                return f"{called} has no {keyword}"
    return ""


def a_name(span: Span) -> str | None:
    """A word that the code knows, or an open one that stands for several."""
    text = span.text.removesuffix(":")
    if text in known.names() | SYSTEM or text.removesuffix(": Bearer").casefold() in known.headers():
        return ""
    if re.fullmatch(r"[\w…*-]+", text) and (re.search(r"[…*]", text) or text.endswith("_")):
        parts = re.split(r"([…*])", text if re.search(r"[…*]", text) else f"{text}*")
        pattern = re.compile("".join(".*" if part in {"…", "*"} else re.escape(part) for part in parts))
        return "" if any(pattern.fullmatch(one) for one in known.names()) else "it stands for nothing"
    name, sign, _value = text.partition("=")
    dotted = "." in text and all(part in known.names() for part in text.split("."))
    return "" if (sign and name in known.names()) or dotted else None


def a_message(span: Span) -> str | None:
    """What the product says; numbers and the N of a place are open in it."""
    opened = re.sub(r"\b(?:N|\d+)\b", "…", span.text)
    return "" if says(span.text) or says(opened) or opened in texts() or span.text in texts() else None


@cache
def _blocks(page: str) -> str:
    return "".join(match[0] for match in FENCE.finditer(_text(page)))


def an_example(span: Span) -> str | None:
    """A name that a block of the page uses, or a suite of its kind."""
    if re.search(rf"(?<![\w-]){re.escape(span.text)}(?![\w-])", _blocks(span.page)):
        return ""
    return "" if span.page == README and a_word_of_the_repository(span.text) else None


@cache
def _repository() -> str:
    return "".join(
        (ROOT / file).read_text(encoding="utf-8")
        for file in ("scripts/nightly", ".gitignore", "bench/engine/__main__.py")
    )


def a_word_of_the_repository(text: str) -> bool:
    """A suite, what a suite reads, or a folder that is made and not kept."""
    words = shlex.split(text.replace(".venv/bin/python -m ", ""))
    return all(re.search(rf"(?<![\w-]){re.escape(word.strip('/'))}(?![\w-])", _repository()) for word in words)


KINDS: tuple[Callable[[Span], str | None], ...] = (
    a_literal, a_query, a_script, a_message_of_a_table, a_command, a_system_command, a_flag, a_call, a_document, a_path, a_call_of_python, a_name, a_message,
    an_example,
)  # fmt: skip


@cache
def judge(span: Span) -> tuple[str, str]:
    """Its kind, and what is wrong with it."""
    for kind in KINDS:
        found = kind(span)
        if found is not None:
            return kind.__name__, found
    return "", "is nothing that is known"
