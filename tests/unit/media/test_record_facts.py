"""A row of the catalogue that is of another record, or was changed, is found by verification."""

from __future__ import annotations

import msgspec
import pytest

from rubackup.agent.facts import differences
from rubackup.chunkstore.seals import SealedRecord
from rubackup.wire.messages import RecordFacts

SEALED = SealedRecord(
    record="0" * 31 + "1", parent="", owner="00000000000000aa", task_id=7, fence=3, resource_type="File system",
    resource="/home", backup_type="full", files=2, files_failed=0, size_bytes=4242, stored_bytes=99, sealed_at_ns=1,
)  # fmt: skip
FACTS = RecordFacts(
    client_hwid="00000000000000aa", resource_type="File system", resource="/home", backup_type="full", files=2,
    size_bytes=4242,
)  # fmt: skip


def test_a_row_that_fits_has_no_difference() -> None:
    """Nor has one of which nothing was told."""
    assert differences(FACTS, SEALED) == []
    assert differences(None, SEALED) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_hwid", "00000000000000bb"),
        ("resource_type", "LVM"),
        ("resource", "/etc"),
        ("backup_type", "incremental"),
        ("files", 3),
        ("size_bytes", 0),
    ],
)
def test_a_row_of_another_record_is_told_field_by_field(name: str, value: object) -> None:
    """The record, the field, and both values are named."""
    (told,) = differences(msgspec.structs.replace(FACTS, **{name: value}), SEALED)

    assert SEALED.record in told
    assert f"{name} is {value!r}" in told
