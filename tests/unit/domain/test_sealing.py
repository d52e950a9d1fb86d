"""A sealed secret is for one key and one purpose."""

from __future__ import annotations

import pytest

from rubackup.domain.errors import Invalid
from rubackup.domain.sealing import seal, unseal
from rubackup.wire import pki

KEY = pki.new_key_pem()
CSR = pki.make_csr(KEY, "media")


def test_the_owner_of_the_key_reads_the_secret() -> None:
    """What was sealed for its certificate request comes back byte for byte."""
    for secret in (b"", b"the secret", bytes(range(256)) * 4):
        assert unseal(KEY, seal(CSR, secret, b"cloud 1"), b"cloud 1") == secret


def test_the_same_secret_is_never_sealed_alike() -> None:
    """Each time has a key of its own, and none shows the secret."""
    sealed = {seal(CSR, b"the secret", b"") for _ in range(3)}

    assert len(sealed) == 3
    assert not any(b"secret" in one for one in sealed)


def test_another_key_reads_nothing() -> None:
    """Not even that of another media server."""
    with pytest.raises(Invalid, match="cannot be opened"):
        unseal(pki.new_key_pem(), seal(CSR, b"the secret", b""), b"")


def test_a_secret_cannot_be_moved_to_another_place() -> None:
    """The context is authenticated."""
    with pytest.raises(Invalid, match="cannot be opened"):
        unseal(KEY, seal(CSR, b"the secret", b"cloud 1"), b"cloud 2")


def test_a_changed_byte_is_noticed() -> None:
    """Wherever it stands; so is a cut."""
    sealed = seal(CSR, b"the secret", b"")

    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(Invalid):
            unseal(KEY, changed, b"")
    for length in range(len(sealed)):
        with pytest.raises(Invalid):
            unseal(KEY, sealed[:length], b"")


@pytest.mark.parametrize("csr", [b"", b"csr", KEY])
def test_what_is_no_request_is_refused(csr: bytes) -> None:
    """Nothing is sealed for nobody."""
    with pytest.raises(Invalid):
        seal(csr, b"the secret", b"")
