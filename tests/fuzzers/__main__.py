"""`scripts/fuzz-parsers`: each target under atheris for some seconds; 1 when one of them fails.

An input that fails is left in artefacts/fuzz-<target>-*, and is run again with
`scripts/fuzz-parsers --input FILE TARGET`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from fuzzers.targets import MAX_INPUT_BYTES, TARGETS, seeds

RSS_MIB: Final = 512
"""A target that takes more memory than this fails; the interpreter with all modules takes some 120."""
INPUT_SECONDS: Final = 10
"""So does one input that takes longer; most take under a millisecond."""


def fuzz(target: str, seconds: int, seed: int, artefacts: Path) -> int:
    """One target, in a process of its own: libFuzzer ends it."""
    with tempfile.TemporaryDirectory(prefix="rb-fuzz-") as name:
        corpus = Path(name)
        for number, data in enumerate(seeds(target)):
            (corpus / f"seed{number}").write_bytes(data)
        command = [
            sys.executable, "-m", "fuzzers", "--inside", target, str(corpus), f"-max_total_time={seconds}", f"-seed={seed}",
            f"-max_len={MAX_INPUT_BYTES}", f"-rss_limit_mb={RSS_MIB}", f"-timeout={INPUT_SECONDS}",
            f"-artifact_prefix={artefacts}/fuzz-{target}-", "-print_final_stats=1",
        ]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    stats = {line[6:].split(":")[0]: line.split()[-1] for line in told.splitlines() if line.startswith("stat::")}
    runs, peak = stats.get("number_of_executed_units", "?"), stats.get("peak_rss_mb", "?")
    result = "nothing found" if done.returncode == 0 else f"FAILED ({done.returncode})"
    print(f"{target:10} {runs:>10} inputs {time.monotonic() - began:6.0f} s {peak:>5} MiB  {result}", flush=True)
    if done.returncode:
        print(told[-4000:])
    return int(done.returncode != 0)


def inside(target: str, arguments: list[str]) -> None:
    """The process that fuzzes."""
    import atheris

    with atheris.instrument_imports(
        include=["rubackup.chunkstore", "rubackup.wire", "fuzzers.targets", "fuzzers.indexed"]
    ):
        for name in [one for one in sys.modules if one.startswith(("rubackup.", "fuzzers.targets", "fuzzers.indexed"))]:
            del sys.modules[name]  # loaded again, with what counts the branches
        targets = importlib.import_module("fuzzers.targets")
    atheris.Setup(["fuzzers", *arguments], targets.TARGETS[target])
    atheris.Fuzz()


def main() -> int:
    """The script."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz-parsers", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes that are made (1)")
    parser.add_argument("--input", type=Path, help="run one input that failed, without atheris")
    given = parser.parse_args()
    wanted = given.targets or list(TARGETS)
    if unknown := set(wanted) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are: {', '.join(TARGETS)}")
    if given.input:
        for target in wanted:
            TARGETS[target](given.input.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is missing: start scripts/fuzz-parsers, which installs it")
    artefacts = Path("artefacts").absolute()
    artefacts.mkdir(exist_ok=True)
    print(f"seed {given.seed}, {given.seconds} s each, at most {RSS_MIB} MiB and {INPUT_SECONDS} s an input")
    return min(1, sum(fuzz(target, given.seconds, given.seed, artefacts) for target in wanted))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
