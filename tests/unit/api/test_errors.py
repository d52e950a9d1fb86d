"""The one table from error codes to statuses."""

from __future__ import annotations

from rubackup.api.envelope import STATUS_BY_CODE, status_of
from rubackup.domain import errors


def test_every_error_of_the_domain_has_a_status() -> None:
    """A new class cannot become a 500 by being forgotten."""
    own = {code: kind for code, kind in errors.all_errors().items() if kind.__module__ == errors.__name__}

    assert own.keys() <= STATUS_BY_CODE.keys()


def test_callers_errors_are_never_500() -> None:
    """Input never makes a 500."""
    callers = [k for k in errors.all_errors().values() if issubclass(k, errors.CallerError)]

    assert all(400 <= STATUS_BY_CODE.get(k.code, 400) < 500 for k in callers)


def test_an_unknown_class_has_its_parents_status() -> None:
    """A module's own subclass need not be in the table."""

    class Special(errors.NotFound):
        """Not there."""

        code = "special_of_a_test"

    assert status_of(Special()) == 404
