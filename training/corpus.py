"""The synthetic corpus: hours of speech in many voices and languages, with the viseme of every 10 ms."""

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from training import espeak, festival, flite
from training.texts import sentences
from training.utterance import Utterance, utterance

VERSION: Final = 5

_ESPEAK_LANGUAGES: Final[dict[str, tuple[tuple[str, ...], float]]] = {
    "en": (("en-us", "en", "en-gb-scotland", "en-029", "en-gb-x-rp"), 0.32),
    "cmn": (("cmn-latn-pinyin",), 0.12),
    "cmn-latn-pinyin": (("cmn-latn-pinyin",), 0.04),
    "es": (("es", "es-419"), 0.08),
    "de": (("de",), 0.08),
    "fr": (("fr",), 0.05),
    "it": (("it",), 0.05),
    "ru": (("ru",), 0.05),
    "pt": (("pt", "pt-br"), 0.05),
    "pl": (("pl",), 0.03),
    "cs": (("cs",), 0.03),
    "ja": (("ja",), 0.03),
    "nl": (("nl",), 0.02),
    "id": (("id",), 0.02),
    "tr": (("tr",), 0.01),
    "vi": (("vi",), 0.01),
    "sv": (("sv",), 0.01),
}
"""Language of the sentences -> espeak-ng's voices, and its weight among the hours."""
_VARIANTS: Final = (
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Storm adam"
    " anika announcer antonio aunty belinda benjamin boris caleb david ed edward f1 f2 f3 f4 f5 grandma grandpa iven john"
    " kaukovalta klatt klatt2 klatt3 klatt4 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel norbert pablo paul pedro"
    " quincy rob robert sandro shelby steph steph2 steph3 travis victor"
)
"""espeak-ng's timbres, without the whispering, croaking and robot ones."""
HELD_OUT_VARIANTS: Final = frozenset({"steph", "miguel", "m3", "f2", "klatt4"})
HELD_OUT_VOICES: Final = HELD_OUT_VARIANTS | {"awb", "kal_diphone", "kal16"}
"""Voices that nothing is trained on: the metrics are measured on them. kal_diphone and kal16 are one man."""
HELD_OUT_LANGUAGES: Final = frozenset({"tr", "vi", "sv"})
TESTS: Final[dict[str, Callable[[Utterance], bool]]] = {
    "unseen voices": lambda u: u.voice in HELD_OUT_VARIANTS and u.language not in HELD_OUT_LANGUAGES,
    "unseen voices, English": lambda u: u.voice in HELD_OUT_VARIANTS and u.language == "en",
    "unseen voices, Mandarin": lambda u: u.voice in HELD_OUT_VARIANTS and u.language == "cmn",
    "unseen languages": lambda u: u.language in HELD_OUT_LANGUAGES,
    "unseen recorded voice awb": lambda u: u.voice == "awb",
    "unseen recorded voice kal": lambda u: u.voice == "kal_diphone",
}
"""The tests of the viseme head: name -> which utterances it is tested on."""
_LONGEST_S: Final = 14.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """Hours per source; `chunks`: espeak-ng's speech is made in that many pieces of work."""

    espeak: float
    flite: float
    festival: float
    russian: float
    chunks: int = 8


FULL: Final = Size(espeak=3.0, flite=0.8, festival=0.45, russian=0.8)
TINY: Final = Size(espeak=0.03, flite=0.005, festival=0.01, russian=0.01, chunks=1)


def build(size: Size, path: Path, *, seed: int, workers: int) -> None:
    """Speak the corpus and write it to `path` (see `save`). The same seed gives the same corpus, whatever `workers` is."""
    jobs: list[tuple[str, int, float]] = [("espeak", i, size.espeak / size.chunks) for i in range(size.chunks)]
    jobs += [("flite", i, size.flite / len(flite.VOICES)) for i in range(len(flite.VOICES))]
    jobs += [("festival", i, size.festival / len(festival.VOICES)) for i in range(len(festival.VOICES))]
    jobs += [("russian", 0, size.russian)]
    # Spawned, one process for each job: espeak-ng's library keeps its state in globals, and its flutter depends on earlier speech.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        parts = list(pool.map(_speak, *zip(*[(*job, seed) for job in jobs], strict=True)))
    save([spoken for part in parts for spoken in part], path)


def save(utterances: Sequence[Utterance], path: Path) -> None:
    """Write utterances to one npz: all waves and all labels in a row, and where each begins."""
    np.savez(
        path,
        wave=np.concatenate([u.wave for u in utterances]),
        wave_ends=np.cumsum([len(u.wave) for u in utterances]),
        labels=np.concatenate([u.labels for u in utterances]),
        label_ends=np.cumsum([len(u.labels) for u in utterances]),
        language=np.array([u.language for u in utterances]),
        voice=np.array([u.voice for u in utterances]),
    )


def load(path: Path) -> list[Utterance]:
    """Read what `save` wrote."""
    with np.load(path) as data:
        waves = np.split(data["wave"], data["wave_ends"][:-1])
        labels = np.split(data["labels"], data["label_ends"][:-1])
        names = zip(data["language"].tolist(), data["voice"].tolist(), strict=True)
    return [
        Utterance(wave=wave, labels=label, language=language, voice=voice)
        for wave, label, (language, voice) in zip(waves, labels, names, strict=True)
    ]


def is_held_out(spoken: Utterance) -> bool:
    """Return whether an utterance is kept for the metrics."""
    return spoken.voice in HELD_OUT_VOICES or spoken.language in HELD_OUT_LANGUAGES


def _speak(source: str, index: int, hours: float, seed: int) -> list[Utterance]:
    rng = random.Random(f"{source} {index} {seed}")  # noqa: S311  (sampling)
    with tempfile.TemporaryDirectory() as folder:
        speaker = {"espeak": _espeak, "flite": _flite, "festival": _festival, "russian": _russian}[source]
        spoken, seconds = [], 0.0
        for one in speaker(rng, index, Path(folder), hours * 3600):
            if one.seconds <= _LONGEST_S * 2 and np.abs(one.wave).max(initial=0) > 300:  # a voice that dropped out is silent
                spoken.append(one)
                seconds += one.seconds
            if seconds >= hours * 3600:
                break
    return spoken


def _espeak(rng: random.Random, _index: int, _folder: Path, _seconds: float) -> Iterator[Utterance]:
    names, weights = list(_ESPEAK_LANGUAGES), [weight for _, weight in _ESPEAK_LANGUAGES.values()]
    texts = {name: sentences(name) for name in names}
    while True:
        language = rng.choices(names, weights)[0]
        variant = rng.choice(_VARIANTS.split()) if rng.random() < 0.93 else ""
        voice = rng.choice(_ESPEAK_LANGUAGES[language][0]) + (f"+{variant}" if variant else "")
        text = ". ".join(rng.choices(texts[language], k=1 + (rng.random() < 0.3)))
        prosody = {"rate": rng.randint(115, 250), "pitch": rng.randint(15, 85), "pitch_range": rng.randint(20, 90)}
        samples, phones = espeak.espeak().speak(text, voice, **prosody)
        if 16000 <= len(samples) <= _LONGEST_S * 16000:
            yield utterance(samples, phones, language=language.split("-")[0], voice=variant or "base")


def _flite(rng: random.Random, index: int, folder: Path, _seconds: float) -> Iterator[Utterance]:
    texts = sentences("en")
    while True:
        text = ". ".join(rng.choices(texts, k=1 + (rng.random() < 0.5))) + "."
        samples, phones = flite.speak(text, flite.VOICES[index], folder, stretch=rng.uniform(0.8, 1.15), pitch_hz=rng.randint(85, 220))
        yield utterance(samples, phones, language="en", voice=flite.VOICES[index])


def _festival(rng: random.Random, index: int, folder: Path, seconds: float) -> Iterator[Utterance]:
    voice = festival.VOICES[index]
    texts = rng.choices(sentences(voice.language), k=int(seconds / 2.5) + 3)
    return festival.speak(voice, [(text, rng.uniform(0.75, 1.2)) for text in texts], folder)


def _russian(_chance: random.Random, _index: int, _folder: Path, seconds: float) -> Iterator[Utterance]:
    return festival.recorded_russian(int(seconds / 4) + 1)
