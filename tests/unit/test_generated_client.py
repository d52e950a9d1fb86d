"""The API's client for Python is what docs/openapi.json gives, and needs nothing of the product."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

from rubackup.sdk import Client
from rubackup.sdk.operations import families

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))


def test_the_generated_files_are_fresh() -> None:
    """Renew them by `.venv/bin/python scripts/generate-client`."""
    loader = SourceFileLoader("generate_client", str(ROOT / "scripts" / "generate-client"))
    spec = importlib.util.spec_from_loader("generate_client", loader)
    assert spec is not None
    generator = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    loader.exec_module(generator)
    sys.dont_write_bytecode = kept

    assert generator.stale(generator.generate(DOCUMENT)) == []


def test_every_call_of_the_document_is_a_method() -> None:
    """All but those of the session, which the client makes by itself."""
    wanted = {(m.upper(), p) for p, methods in DOCUMENT["paths"].items() for m in methods if not p.startswith("/auth/")}
    described = {(one["method"], one["path"]) for facts in families().values() for one in facts["operations"]}
    client = Client.from_token("https://localhost:1", "none")
    missing = [
        (family, one["verb"])
        for family, facts in families().items() for one in facts["operations"]
        if not callable(getattr(getattr(client, family), one["verb"], None))
    ]  # fmt: skip

    assert described == wanted
    assert missing == []


def test_it_can_be_used_without_the_product() -> None:
    """A Python without any other package takes it."""
    program = (
        "import sys; from rubackup.sdk import Client; Client.from_token('https://localhost:1', 'x').pool_list; "
        "print(*sorted(n for n in sys.modules if n.startswith('rubackup') and not n.startswith('rubackup.sdk')))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); {program}"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.stdout.strip(), done.stderr) == ("rubackup", "")


def test_no_field_that_takes_a_name_wants_json() -> None:
    """`--ls-pool Default` is typed as other names are, though null may be given, too."""
    told = json.loads((ROOT / "src/rubackup/sdk/api/operations.json").read_text())
    found = {
        field["name"].rpartition(".")[2]: field
        for family in told.values()
        for operation in family["operations"]
        for field in operation.get("body", {}).get("fields", ())
        if field["name"].rpartition(".")[2]
        in {"ls_pool", "move_copy_pool", "second_copy_pool", "strategy_id", "client_id"}
    }

    assert {"ls_pool", "move_copy_pool", "second_copy_pool"} <= set(found)
    assert {field["type"] for field in found.values()} <= {"id", "integer"}
    assert found["ls_pool"]["nullable"]
    assert "tools" in found["ls_pool"]["text"]
