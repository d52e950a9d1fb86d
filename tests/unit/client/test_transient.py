"""Programs in units of their own: what systemd is asked for. That it does so is tried by scripts/try-packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.client import transient
from rubackup.client.programs import run_program
from rubackup.domain.errors import Invalid

OWN = "rubackup_client.service"


def test_a_unit_ends_with_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gets arguments as they are: systemd would put variables in."""
    monkeypatch.setenv(transient.VARIABLE, OWN)
    unit = transient.Unit("/srv/script")
    made = unit.command(["$HOME", "a b"], {"NAME": "$value"}, 10, 5)

    assert {f"--property=BindsTo={OWN}", f"--property=After={OWN}", "--property=RuntimeMaxSec=70"} <= set(made)
    assert "--setenv=NAME=$value" in made
    assert made[-4:] == ["--", "/srv/script", "$$HOME", "a b"]
    assert transient.Unit("/srv/script").name != unit.name


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="a host that systemd runs would run it")
def test_a_program_that_systemd_does_not_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the words of the one who did not."""
    monkeypatch.setenv(transient.VARIABLE, OWN)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o700)

    with pytest.raises(Invalid, match=r"script cannot be run: .*\S"):
        run_program(str(script))
