"""Tokens and source networks, without a catalogue."""

from __future__ import annotations

import jwt
import pytest

from rubackup.domain.errors import Unauthenticated
from rubackup.services.lockout import network_of
from rubackup.services.tokens import Tokens, new_family

TOKENS = Tokens(b"a secret of tests, 32 bytes long")


def test_the_same_claims_are_the_same_token() -> None:
    """So a lost answer can be given again from the catalogue."""
    pair = TOKENS.new_pair(1, "rubackup", new_family(), 1_000_000, 1_086_400)

    assert TOKENS.sign(pair.access) == TOKENS.sign(pair.access)
    assert TOKENS.read(TOKENS.sign(pair.refresh)) == pair.refresh


def test_no_token_outlives_its_session() -> None:
    """Shortly before the end even the access token gets less than 15 minutes."""
    pair = TOKENS.new_pair(1, "rubackup", new_family(), 1_000_000, 1_000_060)

    assert (pair.access.exp, pair.refresh.exp) == (1_000_060, 1_000_060)


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "é", "x" * 10_000])
def test_garbage_is_unauthenticated(token: str) -> None:
    """Nothing but our own signature is read."""
    with pytest.raises(Unauthenticated):
        TOKENS.read(token)


def test_our_signature_over_other_claims_is_refused() -> None:
    """A claim that is missing or of another type does not become a KeyError."""
    with pytest.raises(Unauthenticated):
        TOKENS.read(jwt.encode({"sub": "rubackup", "exp": "x"}, TOKENS._key, "HS256"))


def test_a_short_secret_is_refused() -> None:
    """HS256 needs 32 bytes."""
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens(b"short")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64"), ("", ""), ("unix", "unix"),
    ],
)  # fmt: skip
def test_source_networks(address: str, network: str) -> None:
    """An attacker with a whole subnet is one source."""
    assert network_of(address) == network
