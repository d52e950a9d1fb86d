"""Completion for bash, zsh and fish: what each shell loads, and the answers that it asks `rb` for.

A shell runs the program that is being typed with a variable set, and its words as they are after its own quoting. Answers are
lines: a value and, after a tab, what it means. Exit status 1 says that names of files are not wanted.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from typing import Any

from typer._click import shell_completion  # Typer's own way to find what stands at the cursor; it exports none

VARIABLE = "_RB_COMPLETE"
LINE = "_RB_LINE"
SHELLS = ("bash", "zsh", "fish")
FILES, NO_FILES = 0, 1

BASH = r"""_rb_complete() {{
    local out
    out=$({variable}=bash {line}="${{COMP_LINE:0:COMP_POINT}}" "$1" 2>/dev/null) || compopt +o default
    COMPREPLY=()
    [ -z "$out" ] || mapfile -t COMPREPLY <<<"$out"
}}
complete -o default -F _rb_complete {programs}
"""
ZSH = r"""#compdef {programs}
_rb_complete() {{
    local out line files=0 tab=$'\t'
    local -a values shown
    out=$({variable}=zsh "${{(Q)words[1]}}" "${{(@Q)words[2,CURRENT-1]}}" "${{(Q)PREFIX}}" 2>/dev/null) || files=1
    for line in ${{(f)out}}; do
        values+=("${{line%%$tab*}}")
        [[ $line == *$tab* ]] && shown+=("${{line%%$tab*}}  -- ${{line#*$tab}}") || shown+=("$line")
    done
    if (( $#values )); then compadd -l -d shown -a values; elif (( ! files )); then _files; fi
}}
compdef _rb_complete {programs}
"""
FISH = r"""function __rb_complete
    set -l typed (commandline -opc)
    set -l last (commandline -ct)
    set -l out ({variable}=fish $typed (string unescape -- $last; or echo -- $last) 2>/dev/null)
    set -l files $status
    if test (count $out) -gt 0
        printf '%s\n' $out
    else if test $files -eq 0
        __fish_complete_path $last
    end
end
for program in {programs}
    complete --command $program --no-files --keep-order --arguments '(__rb_complete)'
end
"""
SCRIPTS = dict(zip(SHELLS, (BASH, ZSH, FISH), strict=True))


def script(shell: str, programs: Iterable[str]) -> str:
    """What the shell loads to complete these programs."""
    return SCRIPTS[shell].format(variable=VARIABLE, line=LINE, programs=" ".join(programs))


def asked() -> bool:
    """Whether a shell asks for completions."""
    return VARIABLE in os.environ


def answer(command: Any, program: str) -> int:
    """Print what can stand at the cursor; the exit status."""
    shell = os.environ[VARIABLE]
    quoted = False
    if shell == "bash":
        words, quoted = split(os.environ.get(LINE, ""))
    else:
        words = sys.argv
    *before, incomplete = words[1:] or [""]
    found, files = candidates(command, program, before, incomplete)
    if shell == "bash":
        skip = broken_at(incomplete) if not quoted else 0
        for value, _ in found:
            print(value[skip:] if quoted else escaped(value[skip:]))
    else:
        for value, text in found:
            print(f"{value}\t{text}" if text else value)
    return FILES if files else NO_FILES


def candidates(
    command: Any, program: str, before: list[str], incomplete: str
) -> tuple[list[tuple[str, str]], bool]:  # fmt: skip
    """Values with what they mean, and whether names of files may stand there, too."""
    context = shell_completion._resolve_context(command, {}, program, list(before))  # noqa: SLF001
    place, incomplete = shell_completion._resolve_incomplete(context, list(before), incomplete)  # noqa: SLF001
    items = [
        one for one in place.shell_complete(context, incomplete) if one.type == "plain" and one.value.isprintable()
    ]
    found = [(one.value, one_line(one.help or "")) for one in items]
    is_value, own = hasattr(place, "param_type_name"), getattr(place, "_custom_shell_complete", None)
    return found, is_value and own is None and not found


def one_line(text: str) -> str:
    """The first sentence, on a line."""
    return re.split(r"(?<=\.)\s|\n\n", " ".join(text.split()), maxsplit=1)[0]


def split(line: str) -> tuple[list[str], bool]:
    """The words of a line that is being typed, the last one incomplete; whether it stands in quotes that are still open."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:  # a quote is open, or the last character is a backslash
        return [*words, lexer.token], getattr(lexer, "state", "") in {'"', "'"}
    if line[-1:].isspace() and not line.endswith("\\ "):
        words.append("")
    return words, False


def escaped(text: str) -> str:
    """A text as bash takes it for one word."""
    return re.sub(r"([^\w./:@%+,=~^-])", r"\\\1", text)


def broken_at(incomplete: str) -> int:
    """Where the word begins that bash replaces: it takes `=` and `:` for ends of words, unless told otherwise."""
    return max(incomplete.rfind(c) for c in "=:") + 1
