"""The endpoint contract, row by row: which of its 256 rows are served, and with the right status.

`served.txt` holds how many were; it must be raised when the number grows, and may never fall.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rubackup.api.kernel import Route
from rubackup.api.routes import routes_of
from rubackup.resources import RESOURCES

HERE = Path(__file__).parent
ROWS: list[dict[str, Any]] = yaml.safe_load((HERE / "endpoints.yaml").read_text(encoding="utf-8"))


def shape(method: str, path: str) -> tuple[str, str]:
    """Method and path, whatever a placeholder that is no id is called."""
    return method, re.sub(r"\{(?!id\})\w+\}", "{word}", path)


SERVED: dict[tuple[str, str], Route] = {shape(r.method, r.path): r for r in routes_of(RESOURCES)}
FOUND = [row for row in ROWS if shape(row["method"], row["path"]) in SERVED]


def test_the_contract_is_whole() -> None:
    """The copy has all the rows of the guide's table."""
    assert len(ROWS) == 256


def test_as_many_rows_are_served_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    """The number of served rows never falls, and the stored one is raised when it grows."""
    with capsys.disabled():
        print(f"\n{len(FOUND)} of {len(ROWS)} rows of the endpoint contract are served")

    assert len(FOUND) == int((HERE / "served.txt").read_text(encoding="ascii"))


@pytest.mark.parametrize("row", FOUND, ids=lambda row: f"{row['method']} {row['path']}")
def test_a_served_row_answers_with_the_contracts_status(row: dict[str, Any]) -> None:
    """What goes well is answered as the guide says."""
    route = SERVED[shape(row["method"], row["path"])]
    good = [status for status in row["statuses"] if status < 300] or [200]

    assert route.status in good
    assert route.resource.tag == row["group"]
