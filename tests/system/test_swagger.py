"""Swagger UI in a real browser: login, Authorize, a GET; no request leaves the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from support.system import System

CHROMIUM = Path("/usr/bin/chromium")
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 300_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed (Debian package chromium)"),
]


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a headless Chromium that trusts the test's certificate."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=PATIENCE_MS)
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1400, "height": 1600})
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
        browser.close()


def execute(page: Page, operation: str, body: str | None = None) -> str:
    """Open an operation, try it out, and give the text of the answer."""
    block = page.locator(f"#{operation}")
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    if body is not None:
        block.locator("textarea.body-param__text").fill(body)
    block.get_by_role("button", name="Execute").click()
    block.locator(".live-responses-table .response-col_status").first.wait_for()
    return block.locator(".live-responses-table").inner_text()


def test_a_login_and_a_get_work_in_swagger_ui(system: System, page: Page) -> None:
    """One logs in, gives the CSRF token to Authorize, and lists the task queue."""
    api = system.facts["api"]
    outside: list[str] = []
    page.on("request", lambda request: None if request.url.startswith((api, "data:")) else outside.append(request.url))
    document = system.call("GET", "/openapi.json")
    names = {
        (path, method): f"operations-{operation['tags'][0].replace(' ', '_')}-{operation['operationId']}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    }
    page.goto(f"{api}/api/v1/")
    page.locator(".opblock-tag").first.wait_for()
    for tag in ("Auth", "Task Queue"):
        page.locator(f'.opblock-tag[data-tag="{tag}"]').click()

    password = Path(system.facts["password_file"]).read_text().strip()
    login = {"rubackup_database": "rubackup", "rubackup_user": system.facts["superuser"], "password": password}
    answer = execute(page, names["/auth/login", "post"], json.dumps(login))
    csrf = answer.split('"csrf_token": "')[1].split('"')[0]
    page.locator("button.authorize").first.click()
    dialog = page.locator(".dialog-ux")
    field = dialog.locator(".auth-container", has_text="X-CSRF-TOKEN").locator("input")
    field.fill(csrf)
    dialog.locator(".auth-container", has_text="X-CSRF-TOKEN").locator("button.authorize").click()
    dialog.locator("button.btn-done").first.click()
    listed = execute(page, names["/task_queue", "get"])
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "swagger.png")

    assert '"is_error": false' in listed
    assert '"next_cursor"' in listed
    assert outside == []
