"""The global configuration has the contract's keys."""

from __future__ import annotations

from pathlib import Path

import yaml

from rubackup.services.configuration import DEFAULTS

CONTRACT = Path(__file__).parent / "endpoints.yaml"
OURS = {
    "service_mode": False, "immutable_archives": False, "dedup_verify_only_meta_data": "no",
    "emergency_storage_local_catalog": "/opt/rubackup/var/emergency",
}  # fmt: skip
"""A key with a call of its own in the guide, two that ship off, and a folder that outlives a boot, as /tmp does not
(`services.configuration` says why)."""


def test_every_key_of_the_guide_has_the_guides_value_as_default():
    """Keys, spelling, types and defaults are those of the example body of PATCH /global_configuration."""
    rows = yaml.safe_load(CONTRACT.read_text())
    (body,) = [r["body"]["data"] for r in rows if (r["method"], r["path"]) == ("PATCH", "/global_configuration")]

    assert dict(DEFAULTS) == body | OURS
    assert {key: type(value) for key, value in DEFAULTS.items()} == {k: type(v) for k, v in (body | OURS).items()}
