"""What the theme cannot be told in mkdocs.yml: anchors of Russian headings, and where the other language of a page is."""

from __future__ import annotations

import re
from typing import Any

from pymdownx.slugs import slugify

LANGUAGES = {"en": "English", "ru": "Русский"}
RUSSIAN = "ru/"
"""The folder of the Russian site within the English one."""


HEAD_LINK = re.compile(r"<link rel=.?alternate.? [^>]*>\s*")
"""For each of these the theme asks for a sitemap, which pages that were opened as files must not."""


def mark(language: str) -> str:
    """What stands in a page for the address of its other language until it is known; absolute, so that no one changes it."""
    return f"/@{language}@/"


def on_config(config: Any) -> Any:
    """Anchors as GitHub makes them, Russian letters included; a language menu."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    config.extra["alternate"] = [{"name": name, "lang": code, "link": mark(code)} for code, name in LANGUAGES.items()]
    return config


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Lead from each page to itself in the other language, from wherever the site lies."""
    root = "../" * page.url.count("/")
    up = root if config.theme["language"] == "en" else f"{root}../"
    return (
        HEAD_LINK.sub("", output).replace(mark("en"), f"{up}{page.url}").replace(mark("ru"), f"{up}{RUSSIAN}{page.url}")
    )
