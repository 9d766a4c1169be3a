"""Power and magnitude spectra by plain NumPy, as librosa.stft defines them: that one compiles for a third of a minute when first used."""

import numpy as np
import scipy.signal

from heygem_daemon.lipsync.arrays import Float32, Float64


def magnitude(wave: Float32 | Float64, *, window: int, hop: int) -> Float64:
    """Return [window // 2 + 1, n]: under a periodic Hann window that begins at every `hop`-th of N samples; n = 1 + (N - window) // hop."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]
    return np.abs(np.fft.rfft(frames * scipy.signal.get_window("hann", window), axis=1)).T
