"""Leaves of a system that runs for months: when they are due, and that a new one is another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rubackup.roles.up.certificates import are_due, make_certificates
from rubackup.roles.up.state import State


def test_leaves_are_made_anew_when_two_thirds_of_their_life_are_over(tmp_path: Path) -> None:
    """Before that nothing is due; another name of the API is."""
    state = State(tmp_path / "state")
    state.make()
    assert are_due(state, ["localhost"])
    make_certificates(state, ["localhost"])
    first = (state.root / "keys/api/apiCert.crt").read_bytes()

    assert not are_due(state, ["localhost"])
    assert not are_due(state, ["localhost"], datetime.now(UTC) + timedelta(days=240))
    assert are_due(state, ["localhost"], datetime.now(UTC) + timedelta(days=245))
    assert are_due(state, ["backup.example"])
    make_certificates(state, ["localhost"])
    assert (state.root / "keys/api/apiCert.crt").read_bytes() != first
