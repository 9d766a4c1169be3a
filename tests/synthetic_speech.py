"""Speech by espeak-ng that is the same in every run.

A voice of its library never flutters the same twice: what it speaks depends on all it spoke before in that process. So each text is spoken
by a process of its own, forked from one that never spoke.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np

from training.espeak import espeak
from training.utterance import Phone


@cache
def synthesise(text: str, voice: str = "en-us", *, rate: int = 170) -> tuple[np.ndarray, list[Phone]]:
    """Return (float32 [n] at 16 kHz, not to be written to, phonemes). rate: words per minute."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        wave, phones = pool.submit(_speak, text, voice, rate).result(timeout=60)
    wave.flags.writeable = False
    return wave, phones


def _speak(text: str, voice: str, rate: int) -> tuple[np.ndarray, list[Phone]]:
    return espeak().speak(text, voice, rate=rate)
