"""Do the lips meet on p, b and m? Speech with known phoneme times, by voices that the weights were not trained on.

    python benchmarks/closures.py [--count 12]        (flite and espeak-ng: scripts/setup.sh --training)

A closure is found where the opening falls below 15 % of its 95th percentile within 40 ms of the phoneme.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.motion import aligned, motion_at
from heygem_daemon.lipsync.speech.phonemes import visemes_of_ipa
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.visemes import column
from heygem_daemon.lipsync.speech.weights import shipped_weights
from training import espeak, flite
from training.texts import sentences

_VOICES = (("en", "en-us+steph"), ("en", "en+miguel"), ("cmn", "cmn-latn-pinyin+m3"), ("de", "de+f2"), ("es", "es+klatt4"))
_NEAR = 0.04


def found(opening: np.ndarray, times: np.ndarray, closures: list[tuple[float, float]]) -> int:
    shut = opening < 0.15 * np.percentile(opening, 95)
    return sum(bool(shut[(times >= start - _NEAR) & (times <= end + _NEAR)].any()) for start, end in closures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="sentences per voice")
    options = parser.parse_args()
    torch.set_num_threads(1)
    driver = PhoneticDriver(load(shipped_weights()))
    print("voice | closures | by the sound | with the script | of all the time shut (sound, script)")
    with tempfile.TemporaryDirectory() as folder:
        for language, voice in (*_VOICES, ("en", "flite awb")):
            total, counts, shares = 0, [0, 0], [[], []]
            for text in sentences(language, seed=7)[: options.count]:
                if voice == "flite awb":
                    wave, phones = flite.speak(text, "awb", Path(folder))
                else:
                    wave, phones = espeak.espeak().speak(text, voice)
                wanted = [(p.start, p.end) for p in phones if (visemes_of_ipa(p.ipa) or [(0, 1.0)])[0][0] == column("PP")]
                times = np.arange(0, len(wave) / 16000, 0.02)
                scripts = (None, aligned(driver, wave, text, {"cmn": "cmn-latn-pinyin"}.get(language, language)))
                for which, script in enumerate(scripts):
                    opening = motion_at(driver, wave, times, script).opening
                    counts[which] += found(opening, times, wanted)
                    shares[which].append(float((opening < 0.15 * np.percentile(opening, 95)).mean()))
                total += len(wanted)
            rates, shut = [count / total for count in counts], [float(np.mean(share)) for share in shares]
            print(f"{voice} | {total} | {rates[0]:.0%} | {rates[1]:.0%} | {shut[0]:.0%}, {shut[1]:.0%}")


if __name__ == "__main__":
    main()
