"""When the API's certificate ends: known to whoever looks, and said in time to those who have to bring a new one."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

WARN_DAYS = 30
"""So many days before its end a certificate is spoken of."""
DAY_SECONDS = 86_400.0


def days_left(chain: Path, now: datetime | None = None) -> float:
    """Days until the leaf of this file ends, less than 0 when it has; not a number when it cannot be read."""
    try:
        leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    except (OSError, ValueError):
        return math.nan
    return (leaf.not_valid_after_utc - (now or datetime.now(UTC))).total_seconds() / DAY_SECONDS
