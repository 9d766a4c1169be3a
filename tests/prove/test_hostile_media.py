"""Whatever a file is, it is used or refused in bounded time and memory, opens no other file and calls nobody."""

from collections import Counter
from pathlib import Path

import pytest

from tests.prove.hostile_files import cases
from tests.prove.hostile_seeds import seeds
from tests.prove.hostile_trial import Outcome, outcomes, trial
from tests.prove.proof import Proof

PROOF = Proof(suite="hostile media")
LEAST_CASES = 800
SECONDS = 60.0
"""Longest time of one file, intake and worker; the limit of one inspection (limits.probe_seconds) is 20 s."""
MEMORY = 2**30
"""Bytes of all processes that work on a file."""
SHORT_FORM = frozenset(
    {
        *("mp4-cut-0.3.mp4", "wav-header_bits-0.wav", "mkv-payload_bits.mkv", "lie-edit_hours.mp4", "lie-wav_channels_max.wav"),
        *("lie-png_65535.png", "bomb-zip_polyglot.mp4", "bomb-png_idat.png", "text-hls.mp4", "text-hls_key.wav", "text-ffconcat.m3u8"),
        *("text-dref_url.mp4", "text-utf16.mp4"),
    }
)
"""The cases that are tried in the ordinary suite: of every family one."""


def wrong(tried: list[Outcome]) -> list[str]:
    return [f"{each.case.name}: {each.wrong} ({each.message})" for each in tried if each.wrong]


def test_a_sample_of_hostile_files_is_used_or_refused(tmp_path: Path) -> None:
    with trial(tmp_path) as (tried, bait):
        found = outcomes(tried, [case for case in cases(seeds(), bait.bait) if case.name in SHORT_FORM])
    assert {each.case.name for each in found} == SHORT_FORM
    assert not wrong(found)
    assert max(each.memory for each in found) < MEMORY


@pytest.mark.prove
def test_every_hostile_file_is_used_or_refused_in_bounded_time_and_memory(tmp_path: Path) -> None:
    with trial(tmp_path) as (tried, bait):
        found = outcomes(tried, cases(seeds(), bait.bait))
    keep_rows(found)


def keep_rows(found: list[Outcome]) -> None:
    """Keep what was measured of all cases. Raises AssertionError where a bound does not hold."""
    counted = Counter(each.code for each in found)
    slowest, largest = max(found, key=lambda each: each.seconds), max(found, key=lambda each: each.memory)
    families = Counter(each.case.family for each in found)
    PROOF.row(
        "Generated files: cut, with flipped bits, with lies in their headers, bombs, and references to other files and servers",
        f"{len(found)} ({', '.join(f'{count} {name}' for name, count in sorted(families.items()))})",
        f"at least {LEAST_CASES}",
        len(found) >= LEAST_CASES,
    )
    faults = wrong(found)
    PROOF.row(
        "Files that ended otherwise than used, or refused with a documented code about the file and a plain sentence",
        str(len(faults)) if not faults else f"{len(faults)}: {faults[:5]}",
        "0",
        not faults,
    )
    verdicts = ", ".join(f"{code} {count}" for code, count in counted.most_common())
    PROOF.row("Verdicts", verdicts, "more than 10 different ones", len(counted) > 10)
    touched = [each.case.name for each in found if "secret" in each.wrong or "somebody" in each.wrong]
    PROOF.row("Openings of the secret file beside the drop, and connections to any server", str(len(touched)), "0", not touched)
    PROOF.row(
        "The longest time that one file took, intake and reading by the worker together",
        f"{slowest.seconds:.1f} s ({slowest.case.name})",
        f"below {SECONDS:.0f} s",
        slowest.seconds < SECONDS,
    )
    PROOF.row(
        "The most memory that all processes working on one file took together",
        f"{largest.memory / 2**20:.0f} MB ({largest.case.name})",
        f"below {MEMORY // 2**20} MB",
        largest.memory < MEMORY,
    )
