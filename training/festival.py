"""Festival's voices from Debian: made of recordings of real people, with the time of each phoneme.

Only those whose recordings are under a permissive licence: the Czech, Italian and Finnish voices are GPL or LGPL.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from training.phone_sets import RADIO, RUSSIAN
from training.utterance import SAMPLE_RATE, Phone, Utterance, utterance

_RUSSIAN_VOICE: Final = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits")
_SAY: Final = """(define (say text stretch out)
 (unwind-protect (begin
  (set! u (eval (list 'Utterance 'Text text))) (Param.set 'Duration_Stretch stretch) (set! u (utt.synth u))
  (utt.save.wave u (string-append out ".wav") 'riff)
  (set! fp (fopen (string-append out ".lab") "w"))
  (mapcar (lambda (s) (format fp "%s %f\\n" (item.name s) (item.feat s "end"))) (utt.relation.items u 'Segment))
  (fclose fp)) nil))
"""


@dataclass(frozen=True, kw_only=True)
class FestivalVoice:
    """A voice: its name in Festival, the language of its sentences, its phoneme names, and its 8-bit encoding."""

    name: str
    language: str
    phones: Mapping[str, str]
    encoding: str


VOICES: Final = (
    FestivalVoice(name="kal_diphone", language="en", phones=RADIO, encoding="ascii"),
    FestivalVoice(name="ked_diphone", language="en", phones=RADIO, encoding="ascii"),
    FestivalVoice(name="cmu_us_slt_arctic_hts", language="en", phones=RADIO, encoding="ascii"),
)


def speak(voice: FestivalVoice, lines: Sequence[tuple[str, float]], folder: Path) -> Iterator[Utterance]:
    """Yield the lines spoken by `voice`. lines: (sentence, stretch of its durations); folder: a place for the audio files.

    A sentence the voice cannot say is left out. Raises OSError where Festival is not installed.
    """
    script = folder / f"{voice.name}.scm"
    calls = (_call(voice, text, stretch, folder / f"{voice.name}-{i:04d}") for i, (text, stretch) in enumerate(lines))
    script.write_bytes(b"".join([_SAY.encode(), f"(voice_{voice.name})\n".encode(), *filter(None, calls)]))
    subprocess.run(["festival", "--batch", str(script)], capture_output=True, check=False, timeout=3600)
    for audio in sorted(folder.glob(f"{voice.name}-*.wav")):
        timed = audio.with_suffix(".lab")
        if timed.exists():
            yield _read(audio, _ends(timed, first_line=0, name_column=0, end_column=1, names=voice.phones), voice.language, voice.name)
        audio.unlink()
        timed.unlink(missing_ok=True)


def _call(voice: FestivalVoice, text: str, stretch: float, out: Path) -> bytes | None:
    try:
        encoded = text.replace('"', " ").replace("\\", " ").encode(voice.encoding)
    except UnicodeEncodeError:
        return None
    return b'(say "' + encoded + f'" {stretch:.2f} "{out}")\n'.encode()


def recorded_russian(count: int) -> Iterator[Utterance]:
    """Yield sentences read by a real speaker, with their phoneme labels: the recordings that Festival's Russian voice is made of."""
    for audio in sorted((_RUSSIAN_VOICE / "wav").glob("*.wav"))[:count]:
        timed = _RUSSIAN_VOICE / "lab" / f"{audio.stem}.lab"
        if timed.exists():
            yield _read(audio, _ends(timed, first_line=1, name_column=2, end_column=0, names=RUSSIAN), "ru", "msu_ru_nsh")


def _read(audio: Path, phones: Sequence[Phone], language: str, voice: str) -> Utterance:
    samples, rate = soundfile.read(audio, dtype="float32")
    samples = np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)
    return utterance(
        np.asarray(samples / max(1e-3, float(np.abs(samples).max())) * 0.5, np.float32), phones, language=language, voice=voice
    )


def _ends(path: Path, *, first_line: int, name_column: int, end_column: int, names: Mapping[str, str]) -> list[Phone]:
    """Read a label file: one phoneme a line, with its end in s."""
    phones, start = [], 0.0
    for line in path.read_text("latin-1").splitlines()[first_line:]:
        words = line.split()
        if len(words) > max(name_column, end_column):
            end = float(words[end_column])
            phones.append(Phone(ipa=names.get(words[name_column], ""), start=start, end=end))
            start = end
    return phones
