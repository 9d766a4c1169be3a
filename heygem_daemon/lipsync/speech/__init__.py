"""From speech to the motion of a mouth: mel spectra at 100 Hz, visemes, and the driver `phonetic` made of them.

Importing this package loads nothing heavy: torch and numpy are imported by the first call.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from heygem_daemon.lipsync.motion import MouthMotion

__all__ = ["mouth_motion"]


def mouth_motion(
    wav: "npt.ArrayLike", times: "npt.ArrayLike", script: str | None = None, *, language: str | None = None, weights: "Path | None" = None
) -> "MouthMotion":
    """Return the motion of the mouth that speaks `wav`, at `times`. Deterministic.

    wav: float [n], 16 kHz mono, -1..1; other values than numbers are replaced. times: float [T], s from the start of the recording, in
    any order; before the recording and after it the mouth is at rest.
    script: the words that are spoken; a script that does not match the audio is ignored. It is read by espeak-ng where that is installed.
    language: of the script, a code of ISO 639 or espeak-ng; it is detected where None.
    weights: a file of weights, by default those that are shipped with the program.

    Returns a MouthMotion of T times: opening float32 [T] (0 = lips meet, 1 = widest), width float32 [T] (0 = rounded, .5 = rest,
    1 = spread), visemes float32 [T, 16] (rows sum to 1, in the order of motion.VISEMES). The optional arrays are None.

    Raises ValueError where `wav` has another number of dimensions than one or `weights` is no such file, OSError where it cannot be read,
    SetupError (`models_missing`) where the shipped weights are missing.
    """
    from heygem_daemon.lipsync.speech import recording_motion  # noqa: PLC0415  (torch is slow to import)

    return recording_motion.mouth_motion(wav, times, script, language=language, weights=weights)
