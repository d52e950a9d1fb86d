"""Whatever is sent to the running API, the answer is one that its OpenAPI document describes, and never an unexpected error."""

from __future__ import annotations

from pathlib import Path

from support.fuzz import Fuzzer
from support.system import running

EXAMPLES = 500
SEED = 3


def test_no_call_gets_an_answer_that_the_document_does_not_know(tmp_path: Path) -> None:
    """500 calls over all operations, right, half right and wrong; more of them by `scripts/fuzz-api`."""
    with running(tmp_path / "state") as system:
        found = Fuzzer(system, tmp_path / "inside", seed=SEED).run(EXAMPLES)
        print(found)

    assert found.failures == {}, str(found)
    assert len(found.operations) > 250
    assert found.sent >= EXAMPLES * 0.95
    assert len(found.accepted) > 60
