"""The manual as a site: built twice alike, read from files in a real browser, in both languages, with nothing from elsewhere."""

from __future__ import annotations

import filecmp
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ARTEFACTS = ROOT / "artefacts"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
OUTSIDE = re.compile(r"""(?:src|href|action)=["']?(?:https?:)?//[^\s"'>]+|url\(["']?(?:https?:)?//[^)]+""")
LINKS_FOR_READERS = ("docs.python.org/",)
"""What a page may lead to; nothing is fetched from there."""

PATIENCE_MS = 300_000
expect.set_options(timeout=PATIENCE_MS)

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed (Debian package chromium)")


def build(out: Path) -> Path:
    """The site of the working tree, with the tools where they are kept between builds."""
    command = [str(ROOT / "scripts/build-manual"), "--out", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, check=False, env={**os.environ, "PYTHON": sys.executable}
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return build(tmp_path_factory.mktemp("manual") / "site")


@pytest.fixture
def page(site: Path) -> Iterator[Page]:
    """A page of a headless Chromium that may read the site's files and nothing else; complaints of its console fail the test."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=PATIENCE_MS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        here = (site.as_uri(), "data:", "about:")
        page.on("request", lambda request: None if request.url.startswith(here) else complaints.append(request.url))
        page.on("console", lambda told: complaints.append(told.text) if told.type in {"error", "warning"} else None)
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        yield page
        browser.close()
    assert complaints == []


def test_the_same_sources_give_the_same_bytes(site: Path, tmp_path: Path) -> None:
    """Packages carry the site, and are reproducible."""
    again = build(tmp_path / "again")

    names = sorted(path.relative_to(site) for path in site.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert len(names) > 50
    assert filecmp.cmpfiles(site, again, names, shallow=False)[1:] == ([], [])


def test_no_page_names_another_host_to_fetch_from(site: Path) -> None:
    """No font, script or picture of a stranger, in pages and style sheets."""
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    found = {match for file in files for match in OUTSIDE.findall(file.read_text(encoding="utf-8"))}

    assert [
        one for one in sorted(found) if not any(one.partition("//")[2].startswith(ok) for ok in LINKS_FOR_READERS)
    ] == []


@needs_chromium
@pytest.mark.browser
@pytest.mark.parametrize(
    ("start", "word", "found", "shot"),
    [
        ("index.html", "restoring", "Restoring", "manual-en.png"),
        ("ru/index.html", "восстан", "Восстановление", "manual-ru.png"),
    ],
)
def test_search_finds_a_page_in_its_language(
    site: Path, page: Page, start: str, word: str, found: str, shot: str
) -> None:
    """Opened as a file: one types the beginning of a word, and goes to what was found."""
    page.goto((site / start).as_uri())
    page.locator("input.md-search__input").press_sequentially(word)
    first = page.locator(".md-search-result__item a").first
    first.wait_for()
    expect(page.locator(".md-search-result__list")).to_contain_text(found)
    first.click()
    expect(page.locator("h1").first).to_be_visible()
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTEFACTS / shot))


@needs_chromium
@pytest.mark.browser
def test_the_language_menu_leads_to_the_same_page(site: Path, page: Page) -> None:
    """There and back."""
    page.goto((site / "reference.html").as_uri())
    for language, address in (("ru", site / "ru/reference.html"), ("en", site / "reference.html")):
        page.locator(".md-header .md-select").hover()
        page.locator(f".md-header a.md-select__link[hreflang={language}]").click()
        page.wait_for_url(f"{address.as_uri()}**")
        expect(page.locator("html")).to_have_attribute("lang", language)
