"""What reconcile says of dedicated APIs: with the command, and nothing that steers a terminal."""

from __future__ import annotations

import pytest

from rubackup.cli import reconciliation


def test_an_api_whose_renewal_the_catalogue_does_not_know_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, on stderr: what is read by programs stays as it is."""
    ending = [{"name": name, "ends_at": "2026-12-09T10:00:00Z"} for name in ("api.example", "b\x1b[2J")]

    reconciliation.tell_apis({"ending_certificates": ending})
    reconciliation.tell_apis({})  # an older API

    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert "one that ends on 2026-12-09." in first
    assert "on the primary server rb_init --enroll-api api.example, and bring the file over." in first
    assert "\x1b" not in second
