"""Music without voices, composed by chance and played by FluidSynth with sampled instruments: it must not move a mouth.

FluidSynth (LGPL-2.1) is a tool of the training, run as a program; its samples are FluidR3 GM (MIT).
"""

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import mido
import numpy as np
import numpy.typing as npt
import soundfile

from training.utterance import SAMPLE_RATE, Utterance, viseme_labels

LANGUAGE: Final = "music"
"""The language of an utterance of the corpus that nobody speaks."""
SOUNDFONT: Final = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")

_TICKS: Final = 480
_DRUMS: Final = 9
_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))
_PROGRESSIONS: Final = ((0, 4, 5, 3), (0, 3, 4, 0), (5, 3, 0, 4), (0, 5, 3, 4), (1, 4, 0, 0), (0, 0, 3, 4))
_VOICES: Final = frozenset({52, 53, 54, 85, 91})
"""General MIDI's choirs and voices: those are people."""
_BASSES: Final = range(32, 40)
_ACCOMPANISTS: Final = tuple(p for p in (*range(32), *range(40, 52), *range(88, 96), *range(104, 108)) if p not in _VOICES)
_SOLOISTS: Final = tuple(p for p in (*range(32), *range(40, 47), *range(56, 88), *range(104, 112)) if p not in _VOICES)
_KICK, _SNARE, _CLOSED_HAT, _OPEN_HAT, _CRASH = 36, 38, 42, 46, 49
_HAND_DRUMS: Final = (39, 54, 56, 60, 61, 62, 63, 64, 69, 70, 75, 76)
_VOLUME, _PAN, _EXPRESSION, _MODULATION, _REVERB = 7, 10, 11, 1, 91


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The plan of a whole piece. root: MIDI note; beats: how many it has."""

    bpm: float
    root: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]
    beats: int

    def note(self, degree: int) -> int:
        """Return the MIDI note of a degree of the scale, which may lie in any octave."""
        octave, step = divmod(degree, len(self.scale))
        return self.root + 12 * octave + self.scale[step]

    def chord(self, beat: int) -> tuple[int, ...]:
        """Return the degrees of the chord played at a beat: four beats each."""
        first = self.progression[beat // 4 % len(self.progression)]
        return (first, first + 2, first + 4)


def instrumental(rng: random.Random, folder: Path) -> Iterator[Utterance]:
    """Yield pieces of 10 to 20 s and their reverberation, without end, as utterances in which nobody speaks. folder: a place for files.

    Raises FileNotFoundError without FluidSynth, CalledProcessError where it fails.
    """
    for number in count():
        wave = play(compose(rng, seconds=rng.uniform(10, 20)), folder)
        yield Utterance(wave=wave, labels=viseme_labels(wave.astype(np.float32), ()), language=LANGUAGE, voice=piece(number))


def piece(number: int) -> str:
    """Return the name, in place of a voice, of a piece."""
    return f"piece {number}"


def compose(rng: random.Random, *, seconds: float) -> mido.MidiFile:
    """Return music for one to five players. Every fourth is a solo: alone, an instrument resembles a voice most."""
    bpm = rng.uniform(55, 170)
    plan = Piece(
        bpm=bpm,
        root=rng.randint(40, 51),
        scale=rng.choice(_SCALES),
        progression=rng.choice(_PROGRESSIONS),
        beats=max(4, round(seconds * bpm / 60)),
    )
    score = _Score()
    kind = rng.random()
    if kind < 0.25:
        _solo(plan, score, rng, channel=0)
    elif kind < 0.32:
        _drums(plan, score, rng)
    else:
        for channel in range(rng.randint(1, 2)):
            _accompany(plan, score, rng, channel=channel)
        if rng.random() < 0.65:
            _drums(plan, score, rng)
        if rng.random() < 0.65:
            _bass(plan, score, rng, channel=2)
        if rng.random() < 0.7:
            _solo(plan, score, rng, channel=3)
    return score.written(bpm)


def play(music: mido.MidiFile, folder: Path) -> npt.NDArray[np.int16]:
    """Return int16 [n] at 16 kHz, mono, the loudest sample at half of full scale."""
    score, audio = folder / "piece.mid", folder / "piece.wav"
    music.save(score)
    options = ("-ni", "-q", "-g", "0.5", "-r", str(SAMPLE_RATE), "-T", "wav", "-O", "float", "-F", str(audio))
    subprocess.run(["fluidsynth", *options, str(SOUNDFONT), str(score)], capture_output=True, check=True, timeout=300)
    stereo, _ = soundfile.read(audio, dtype="float32", always_2d=True)
    mono = stereo.mean(1)
    return np.asarray(mono / max(1e-6, float(np.abs(mono).max())) * 16384, np.int16)


@dataclass(frozen=True, kw_only=True)
class _Score:
    """Messages with the tick they fall on."""

    events: list[tuple[int, mido.Message]] = field(default_factory=list)

    def at(self, beat: float, message: mido.Message) -> None:
        self.events.append((round(beat * _TICKS), message))

    def note(self, channel: int, beat: float, beats: float, pitch: int, loudness: float) -> None:
        """Add a note; loudness 0-127, pitches outside of MIDI's are left out."""
        if 0 <= pitch <= 127:
            velocity = int(np.clip(loudness, 10, 127))
            self.at(beat, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
            self.at(beat + beats, mido.Message("note_off", channel=channel, note=pitch))

    def player(self, channel: int, program: int, rng: random.Random) -> None:
        """Seat a player: instrument, place, volume, room."""
        self.at(0, mido.Message("program_change", channel=channel, program=program))
        for control, low, high in ((_VOLUME, 70, 120), (_PAN, 30, 98), (_REVERB, 0, 100)):
            self.at(0, mido.Message("control_change", channel=channel, control=control, value=rng.randint(low, high)))

    def written(self, bpm: float) -> mido.MidiFile:
        track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))])
        now = 0
        for tick, message in sorted(self.events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        return mido.MidiFile(ticks_per_beat=_TICKS, tracks=[track])


def _solo(piece: Piece, score: _Score, rng: random.Random, *, channel: int) -> None:
    """A melody that walks along the scale, with rests, vibrato and swelling notes."""
    score.player(channel, rng.choice(_SOLOISTS), rng)
    lengths = rng.choice(((1, 2, 4), (0.5, 1, 2), (0.5, 0.5, 1), (0.25, 0.5, 1), (1 / 3, 2 / 3, 1)))
    legato, vibrato, swells = rng.uniform(0.4, 1.05), rng.randint(0, 90), rng.random() < 0.4
    beat, degree = 0.0, rng.randint(5, 16)
    while beat < piece.beats:
        length = rng.choice(lengths)
        if rng.random() > 0.12:
            degree = int(np.clip(degree + rng.choice((-4, -2, -1, -1, 0, 1, 1, 2, 4)), 0, 24))
            score.at(beat, mido.Message("control_change", channel=channel, control=_MODULATION, value=vibrato if length >= 1 else 0))
            if swells:
                for part in range(4):
                    value = rng.randint(50, 127)
                    score.at(beat + length * part / 4, mido.Message("control_change", channel=channel, control=_EXPRESSION, value=value))
            score.note(channel, beat, length * legato, piece.note(degree), rng.gauss(95, 14))
        beat += length


def _accompany(piece: Piece, score: _Score, rng: random.Random, *, channel: int) -> None:
    """Chords: held, struck in a rhythm, or broken."""
    score.player(channel, rng.choice(_ACCOMPANISTS), rng)
    octave = len(piece.scale) * rng.randint(0, 2)
    style = rng.choice(("held", "struck", "broken"))
    rhythm = [rng.random() < 0.6 for _ in range(8)]
    division = rng.choice((2, 3, 4))
    for beat in range(0, piece.beats, 4):
        chord = [piece.note(degree + octave) for degree in piece.chord(beat)]
        if style == "held":
            for pitch in chord:
                score.note(channel, beat, 3.95, pitch, rng.gauss(75, 8))
        elif style == "struck":
            for place in (p for p in range(8) if rhythm[p]):
                for i, pitch in enumerate(chord):
                    score.note(channel, beat + place / 2 + i * 0.01, 0.42, pitch, rng.gauss(80, 12))
        else:
            for place in range(4 * division):
                score.note(channel, beat + place / division, 1.2 / division, chord[place % len(chord)], rng.gauss(75, 12))


def _bass(piece: Piece, score: _Score, rng: random.Random, *, channel: int) -> None:
    score.player(channel, rng.choice(_BASSES), rng)
    step = rng.choice((0.5, 1, 2))
    for place in range(int(piece.beats / step)):
        beat = place * step
        root, _, fifth = piece.chord(int(beat))
        score.note(channel, beat, step * 0.9, piece.note(fifth if rng.random() < 0.2 else root) - 12, rng.gauss(90, 10))


def _drums(piece: Piece, score: _Score, rng: random.Random) -> None:
    """A bar of sixteen steps, repeated, with fills left to chance."""
    score.player(_DRUMS, rng.choice((0, 0, 8, 16, 24, 25, 32, 40)), rng)
    bar: dict[int, list[float]] = {
        _KICK: [1.0 if place % 8 == 0 else rng.choice((0, 0, 0, 0.6)) for place in range(16)],
        _SNARE: [1.0 if place % 8 == 4 else rng.choice((0, 0, 0, 0, 0, 0.3)) for place in range(16)],
        rng.choice((_CLOSED_HAT, _OPEN_HAT)): [rng.choice((0.9, 0.5, 0.5, 0)) for _ in range(16)],
        rng.choice(_HAND_DRUMS): [rng.choice((0, 0, 0.7)) for _ in range(16)],
    }
    for drum in rng.sample(sorted(bar), rng.randint(1, len(bar))):
        for step in range(piece.beats * 4):
            strength = bar[drum][step % 16]
            if strength and rng.random() < 0.95:
                score.note(_DRUMS, step / 4, 0.2, drum, 110 * strength + rng.gauss(0, 8))
    for beat in range(0, piece.beats, 16):
        if rng.random() < 0.5:
            score.note(_DRUMS, beat, 1, _CRASH, rng.gauss(90, 10))
