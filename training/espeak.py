"""espeak-ng as a voice with the time of each phoneme, through the event callback of its library (speak_lib.h).

The library is GPL-3.0: it is a tool of the training, run in a process of its own, and no part of the product.
"""

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr

from heygem_daemon.lipsync.arrays import Float32
from training.utterance import SAMPLE_RATE, Phone

_SYNCHRONOUS: Final = 2
_PHONEME_EVENTS_AS_IPA: Final = 1 | 2
_PHONEME_EVENT: Final = 7
_CHARACTERS_UTF8: Final = 1
_RATE, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7  # espeak_PARAMETER
_NAME_BYTES: Final = 8
_UNITS_OF_WORD_GAP: Final = 0


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * _NAME_BYTES))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """One speaking library; there can be only one per process (see `espeak`)."""

    def __init__(self) -> None:
        """Raises OSError where libespeak-ng is not installed."""
        self._library: Any = ctypes.CDLL("libespeak-ng.so.1")
        self._library.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        )
        self._rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 200, None, _PHONEME_EVENTS_AS_IPA))
        self._parts: list[npt.NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []
        self._callback = _Callback(self._on_samples)  # kept: the library calls it later
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, *, rate: int = 170, pitch: int = 50, pitch_range: int = 50) -> tuple[Float32, list[Phone]]:
        """Return (float32 [n] at 16 kHz, phonemes). voice: e.g. "en-us+f3". Raises ValueError for a voice there is not.

        rate: words per minute; pitch and pitch_range: 0-100.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range), (_WORD_GAP, _UNITS_OF_WORD_GAP)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parts, self._events = [], []
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _CHARACTERS_UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate([*self._parts, np.zeros(0, np.int16)]).astype(np.float32) / 32768
        return np.asarray(soxr.resample(samples, self._rate, SAMPLE_RATE), np.float32), self._phones(len(samples))

    def _on_samples(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in _until_end(events):
            if event.type == _PHONEME_EVENT:
                # Eight bytes, not always closed by a zero.
                name = ctypes.string_at(ctypes.addressof(event) + _Event.id.offset, _NAME_BYTES).split(b"\0")[0]
                self._events.append((event.sample, name.decode("utf-8", "ignore")))
        return 0

    def _phones(self, samples: int) -> list[Phone]:
        ends = [sample for sample, _ in self._events[1:]] + [samples]
        return [
            Phone(ipa=name, start=start / self._rate, end=end / self._rate)
            for (start, name), end in zip(self._events, ends, strict=True)
            if end > start and not name.startswith("(")
        ]


def _until_end(events: Any) -> Iterator[Any]:
    place = 0
    while events[place].type != 0:
        yield events[place]
        place += 1


@lru_cache(maxsize=1)
def espeak() -> Espeak:
    """Return this process's speaking library."""
    return Espeak()


def is_installed() -> bool:
    """Return whether espeak-ng's library can be loaded."""
    with suppress(OSError):
        return espeak() is not None
    return False
