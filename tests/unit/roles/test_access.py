"""Roles of hosts in PostgreSQL: their names, and what stands in statements in place of a password."""

from __future__ import annotations

import base64
import hmac

import pytest

from rubackup.roles.init.access import LONGEST_NAME, role_of, verifier


def test_a_verifier_is_that_of_the_standard() -> None:
    """The server of RFC 7677's example, which knows this alone, signs as the RFC says."""
    found = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))

    head, salt, keys = found.split("$")
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    said = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
    signed = hmac.digest(base64.b64decode(keys.partition(":")[2]), said.encode(), "sha256")
    assert (head, salt) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    assert base64.b64encode(signed) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert verifier("pencil") != found


def test_what_would_have_to_be_prepared_is_refused() -> None:
    """SASLprep is not done here, so only passwords that it leaves alone are taken."""
    with pytest.raises(ValueError, match="ASCII"):
        verifier("пароль")


def test_long_names_stay_apart() -> None:
    """PostgreSQL keeps 63 bytes of a name; the rest of a longer one is in its hash."""
    host = "a" * 70

    assert role_of("rubackup", "API.example") == "rubackup_api_api.example"
    assert len(role_of("rubackup", host)) == LONGEST_NAME
    assert role_of("rubackup", host) != role_of("rubackup", host + "b")
