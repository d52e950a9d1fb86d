"""Builds the manual as a site in two languages; scripts/build-manual calls it with the tools on its path.

Each language is a site of its own, with its own search, made of the pages in that language; where there is
none yet, of the English one, which says so. The Russian site lies in the folder `ru` of the English one.
The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, ConfigurationError
from pymdownx.slugs import slugify

SUFFIX = ".ru.md"
RUN = re.compile(r"^<!-- (?:run|carry): .* -->\n", re.MULTILINE)
"""Where a block is run says the source; readers need not know."""
FENCE = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:\s]+\.md)#([^)\s]+)\)")
TWIN = re.compile(r"\]\(([^)#:\s]+)\.ru\.md(?=[)#])")
"""Russian pages lead to Russian ones, which have the English names within their site."""
ROW = re.compile(r"^\|.*$", re.MULTILINE)
CODE = re.compile(r"`[^`]*`")
TITLE = re.compile(r"\A# .*\n")
ONLY_ENGLISH = "\n*Эта страница есть только на английском языке.*\n"
WIDE = "---\nhide: [toc]\n---\n"
"""A page without sections needs no list of them beside it."""
SECTIONS = {
    "Setting up": "Установка и настройка", "Every day": "Повседневная работа", "Taking care": "Защита и обслуживание",
    "Reference": "Справочник", "Development": "Для разработчиков", "Design": "Устройство системы", "Decisions": "Проектные решения",
}  # fmt: skip
LEFT_OUT = ("404.html", "sitemap.xml", "sitemap.xml.gz")
"""What only a web server would give out."""
NOT_FOR_READERS = ("openapi.json",)
"""The API gives it itself, as it is in that version."""


def stage(source: Path, target: Path, language: str) -> None:
    """Lay one language's pages into `target`, each under the name of the English one."""
    shutil.copytree(
        source / "docs",
        target,
        ignore=lambda _, names: [n for n in names if n.endswith(SUFFIX) or n in NOT_FOR_READERS],
    )
    shutil.copytree(source / "manual/assets", target / "assets")
    for page in sorted(target.rglob("*.md")):
        own = source / "docs" / page.relative_to(target).with_suffix(SUFFIX)
        text = page.read_text(encoding="utf-8")
        if language == "ru" and own.exists():
            text = TWIN.sub(r"](\1.md", own.read_text(encoding="utf-8"))
        elif language == "ru":
            text = TITLE.sub(lambda m: m[0] + ONLY_ENGLISH, led(text, own.parent))
        head = "" if "\n## " in text else WIDE
        page.write_text(head + ROW.sub(bars, RUN.sub("", text)), encoding="utf-8")


def bars(row: re.Match[str]) -> str:
    """A row of a table as the site's Markdown reads it: a bar within code needs no backslash there, and would keep it."""
    return CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0])


def anchors(page: Path) -> list[str]:
    """What the headings of a page are linked by."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [slugify(case="lower")(title.replace("`", ""), "-") for title in HEADING.findall(text)]


def led(text: str, folder: Path) -> str:
    """An English page within the Russian site: what it links to is called otherwise there, at the same place in its page."""

    def link(match: re.Match[str]) -> str:
        english, anchor = folder / match[1], match[2]
        russian = english.with_suffix(SUFFIX)
        if english.exists() and russian.exists() and anchor in (found := anchors(english)):
            anchor = anchors(russian)[found.index(anchor)]
        return f"]({match[1]}#{anchor})"

    return LINK.sub(link, text)


def navigation(told: list[Any], docs: Path, language: str) -> list[Any]:
    """The menu: that of mkdocs.yml, with all developer pages in its last section, in the language."""
    nav = present(told, docs)
    pages = nav[-1]["Development"]
    for name, folder in (("Design", "design"), ("Decisions", "adr")):
        found = sorted(path.name for path in (docs / folder).glob("*.md"))
        pages = [*pages, {name: [f"{folder}/{file}" for file in sorted(found, key=lambda n: (n != "README.md", n))]}]
    nav[-1] = {"Development": pages}
    return translated(nav) if language == "ru" else nav


def present(nav: list[Any], docs: Path) -> list[Any]:
    """The menu without pages that are still to be written; a name that is wrong leaves its page out, which is an error."""
    return [
        {name: present(pages, docs) for name, pages in entry.items()} if isinstance(entry, dict) else entry
        for entry in nav
        if isinstance(entry, dict) or (docs / entry).exists()
    ]


def translated(nav: list[Any]) -> list[Any]:
    """The menu with its sections in Russian; pages have their own titles."""
    return [
        {SECTIONS[name]: translated(pages) for name, pages in entry.items()} if isinstance(entry, dict) else entry
        for entry in nav
    ]


def make(source: Path, out: Path, language: str) -> None:
    """Build one language's site into `out`."""
    with tempfile.TemporaryDirectory(prefix="rubackup-manual-") as name:
        docs = Path(name) / "docs"
        stage(source, docs, language)
        told = yaml.safe_load((source / "mkdocs.yml").read_text(encoding="utf-8"))
        told["docs_dir"], told["site_dir"] = str(docs), str(out)
        told["hooks"] = [str(source / hook) for hook in told["hooks"]]
        told["theme"]["language"] = language
        if language == "ru":
            next(plugin["search"] for plugin in told["plugins"] if "search" in plugin)["lang"] = ["ru", "en"]
        told["nav"] = navigation(told["nav"], docs, language)
        file = Path(name) / "mkdocs.yml"
        file.write_text(yaml.safe_dump(told, allow_unicode=True, sort_keys=False), encoding="utf-8")
        build(load_config(str(file)))
    prune(out)


def prune(out: Path) -> None:
    """Take away what nothing opens."""
    words = [out / "assets/javascripts/lunr/min" / f"lunr.{name}.min.js" for name in ("ru", "multi", "stemmer.support")]
    unused = [path for path in out.glob("assets/javascripts/lunr/**/*.js") if path not in words]
    for path in [*(out / name for name in LEFT_OUT), *out.glob("assets/**/*.map"), *unused]:
        path.unlink(missing_ok=True)


def main() -> int:
    """Entry."""
    parser = argparse.ArgumentParser(prog="scripts/build-manual", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the site; what is in it goes")
    parser.add_argument("--source", type=Path, required=True, help="folder with mkdocs.yml, docs and manual")
    arguments = parser.parse_args()
    logging.basicConfig(format="build-manual: %(message)s", level=logging.WARNING)
    out = arguments.out.absolute()
    if out.exists() and any(out.iterdir()) and not (out / "search").is_dir():
        print(f"build-manual: {out} is not empty and no manual; name another folder", file=sys.stderr)
        return 2
    try:
        make(arguments.source.absolute(), out, "en")
        make(arguments.source.absolute(), out / "ru", "ru")
    except (Abort, ConfigurationError) as problem:
        print(f"build-manual: {problem}", file=sys.stderr)
        return 1
    print(out / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
