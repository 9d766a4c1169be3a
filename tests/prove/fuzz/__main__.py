"""`python -m tests.prove.fuzz TARGET CORPUS SECONDS`: fuzz a target, guided by coverage, and print libFuzzer's statistics.

Exits with a code other than 0 at a crash; the input lies in CORPUS/../crashes then."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["heygem_daemon", "json", "tomllib"]):
    from tests.prove.fuzz import targets

    targets.TARGETS[sys.argv[1]](b"")  # loads what it needs, which is no part of the time of an input

from tests.prove.fuzz.seeds import SEEDS


def main() -> None:
    name, corpus, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    crashes = corpus.parent / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]()):
        (corpus / f"seed-{number}").write_bytes(seed[: targets.LONGEST])
    options = (
        *(f"-max_total_time={seconds}", f"-max_len={targets.LONGEST}", f"-timeout={targets.SLOWEST}", "-rss_limit_mb=4096", "-seed=4711"),
        *(f"-artifact_prefix={crashes}/{name}-", "-print_final_stats=1"),
    )
    atheris.Setup([name, *options, str(corpus)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
