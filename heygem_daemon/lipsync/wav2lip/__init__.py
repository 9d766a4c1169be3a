"""Wav2Lip: mouths drawn by a checkpoint that the user brings.

Nothing heavy is imported before it is used: the command line lists checkpoints through here.
"""

from typing import TYPE_CHECKING

from heygem_daemon.lipsync.wav2lip.checkpoints.store import load_network

if TYPE_CHECKING:
    from heygem_daemon.lipsync.arrays import Float32
    import numpy.typing as npt

    from heygem_daemon.lipsync.arrays import Float32

__all__ = ["load_network", "mel_spectrogram"]


def mel_spectrogram(wav: "npt.ArrayLike") -> "Float32":
    """Return the mel spectrum float32 [80, T] of sound float32 [n] at 16 kHz: see `mel`."""
    from heygem_daemon.lipsync.wav2lip import mel  # noqa: PLC0415  (librosa is slow to import)

    return mel.mel_spectrogram(wav)
