"""How many files a process may have open."""

from __future__ import annotations

import resource

import pytest

from rubackup.roles.process import raise_descriptors

NEVER = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "given", "changed"),
    [
        (1024, 524_288, 20_100, (20_100, 524_288)),
        (1024, 4096, 4096, (4096, 4096)),
        (1024, NEVER, 20_100, (20_100, NEVER)),
        (30_000, 30_000, 30_000, None),
        (4096, 4096, 4096, None),
        (NEVER, NEVER, 20_100, None),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_allowed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, given: int, changed: tuple[int, int] | None
) -> None:
    """Up to what is wanted, never beyond the hard limit, and never lowered."""
    wrote: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: wrote.append(limits))

    assert raise_descriptors(20_100) == given
    assert wrote == ([changed] if changed else [])
