"""Signs the certificates of authorised hosts with the issuing CA (services.enrolment.Signer)."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable

from rubackup.services.api_hosts import API_DAYS
from rubackup.services.enrolment import Signed
from rubackup.wire import pki
from rubackup.wire.certificates import certificate_key_hash


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class IssuingSigner:
    """The issuing CA of this server."""

    def __init__(self, issuing: pki.Authority, now: Callable[[], dt.datetime] = _now) -> None:
        self._issuing = issuing
        self._now = now
        self.key_hash = certificate_key_hash(issuing.cert_pem)
        """SHA-256 of the issuing CA's public key (DER), hex."""

    def sign(self, csr_pem: bytes, role: str, hwid: str) -> Signed:
        """A leaf for the host, bound to its role and hardware id and to no host name."""
        issued = pki.issue(self._issuing, csr_pem, role=role, hwid=hwid, now=self._now())
        return Signed(chain_pem=issued.chain_pem, serial=issued.serial, not_after=issued.not_after)

    def sign_api(self, csr_pem: bytes, hwid: str, name: str) -> Signed:
        """A leaf for an API on a host of its own, under the name or address by which it is called."""
        addresses, names = ["127.0.0.1"], ["localhost"]
        try:
            addresses.append(str(ipaddress.ip_address(name)))
        except ValueError:
            names.insert(0, name)
        issued = pki.issue(
            self._issuing, csr_pem, role="api", hwid=hwid, now=self._now(), days=API_DAYS, dns_names=names,
            addresses=addresses,
        )  # fmt: skip
        return Signed(chain_pem=issued.chain_pem, serial=issued.serial, not_after=issued.not_after)
