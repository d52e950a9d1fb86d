"""Codes of errors, as other processes tell them."""

from __future__ import annotations

from rubackup.domain.errors import StorageFault, from_code


class Narrower(StorageFault):
    """Of some module, without a code of its own."""


def test_an_error_is_told_by_the_class_that_has_the_code() -> None:
    """Whatever is made of it elsewhere."""
    assert Narrower("x").code == StorageFault.code
    assert type(from_code("storage", "x")) is StorageFault
