"""What a script costs is bounded by the length of its recording."""

import time
from collections.abc import Iterator

import pytest

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.transcript import espeak
from heygem_daemon.lipsync.speech.transcript.align import align
from heygem_daemon.lipsync.speech.transcript.problem import TranscriptProblem
from heygem_daemon.lipsync.speech.transcript.speakable import require_speakable_text, without_stacks
from heygem_daemon.lipsync.speech.transcript.text import MAX_BYTES, plain_text
from tests.lipsync.speech.transcript.recordings import LESSON, mumble

SECONDS = 5.0
LARGEST = 5.0
"""s. What the largest script may cost beside a recording of SECONDS; without a limit the first of these took 70 s, the fifth hours."""
MEGABYTE = {
    "sentences": "The quick brown fox jumps over the lazy dog. " * (MAX_BYTES // 45),
    "one word": "a" * MAX_BYTES,
    "digits": "9" * MAX_BYTES,
    "Chinese": "你好世界，" * (MAX_BYTES // 15),
    "Chinese and Latin in turn": "你a" * (MAX_BYTES // 4),
    "Arabic": "مرحبا بالعالم " * (MAX_BYTES // 26),
    "marks on one letter": "a" + "\u0315\u0323" * (MAX_BYTES // 4),
    "full stops": "Hello" + "." * MAX_BYTES,
    "directions": "\u202e hello \u202c" * (MAX_BYTES // 13),
    "emoji": "Hello " + "😀" * (MAX_BYTES // 4),
    "lines": "a\n" * (MAX_BYTES // 2),
}


@pytest.mark.parametrize("text", MEGABYTE.values(), ids=MEGABYTE)
@pytest.mark.parametrize("language", [None, "cmn"])
def test_a_script_that_cannot_be_spoken_in_its_recording_costs_nothing(text: str, language: str | None) -> None:
    read: list[int] = []

    def posteriors() -> Iterator[Float32]:
        read.append(1)
        yield mumble(50)

    began = time.process_time()
    assert align(text, language, posteriors(), seconds=SECONDS).warning is WarningCode.SCRIPT_TOO_LONG
    assert time.process_time() - began < LARGEST
    assert not read


def test_numbers_are_measured_by_what_is_said_for_them() -> None:
    written = "777777. " * 130
    require_speakable_text(written, SECONDS)
    assert align(written, "en", [mumble(250)], seconds=SECONDS).warning is WarningCode.SCRIPT_TOO_LONG


def test_the_script_of_a_fast_speaker_is_short_enough() -> None:
    words = (LESSON + " ") * 40
    require_speakable_text(words, len(words.split()) / 5)
    require_speakable_text("今天我们学习怎么做面包" * 100, 1100 / 8)


def test_marks_on_one_letter_are_cut_before_they_are_put_in_order() -> None:
    began = time.process_time()
    assert len(plain_text("a" + "\u0315\u0323" * 100_000)) <= 31
    assert time.process_time() - began < 1
    ordinary = "ครับ ที่นี่ नमस्ते a\u0301 שָׁלוֹם"
    assert without_stacks(ordinary) == ordinary


def test_a_killed_espeak_is_not_taken_for_an_unknown_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "phonemes_command", lambda voice: ("sh", "-c", "kill -KILL $$"))
    with pytest.raises(TranscriptProblem) as ended:
        espeak.has_voice("en")
    assert ended.value.code is WarningCode.SCRIPT_WITHOUT_ESPEAK
    assert align("Hello there", "en", [mumble(50)], seconds=1).warning is WarningCode.SCRIPT_WITHOUT_ESPEAK


def test_latin_words_among_chinese_cost_processes_and_are_fewer_than_words() -> None:
    require_speakable_text("我们学习 Python 和 Docker，然后写代码。" * 12, SECONDS)
    with pytest.raises(TranscriptProblem):
        require_speakable_text("你a" * 100, SECONDS)
