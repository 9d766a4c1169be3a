"""Make the model card, as data and as a page: what the weights were trained on, and their metrics."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from heygem_daemon.lipsync.adaptation.clips import AvClip, people
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics
from heygem_daemon.lipsync.speech.model import PhoneticModel
from training.mapper import BABBLE_DB, FOLDS, rounded_metrics
from training.pretrained import SILERO, WHISPER_BASE, WHISPER_TINY
from training.splits import HELD_OUT, person_of

_SOURCES = (
    "The encoder: the first three blocks of Whisper base (multilingual) and of Whisper tiny.en (OpenAI, Radford et al. 2022, MIT,"
    f" 680,000 hours of speech in 99 languages), from the files with sha256 {WHISPER_BASE.sha256} and {WHISPER_TINY.sha256};"
    " unchanged but for rounding to 8 bits",
    f"The detector of speech: Silero VAD (Silero Team, MIT), from the file with sha256 {SILERO.sha256}",
    "Synthetic speech: espeak-ng (a GPL-3.0 program run as a tool; 13 languages, 67 timbres), the flite voices slt and rms (BSD-like),"
    " Festival's voices ked (free for any use) and slt (BSD-like); five timbres, the voices awb and kal, and three languages are held"
    " out for the tests",
    "Recorded speech with phoneme labels: the recordings inside Debian's festvox-ru (one speaker, BSD-like)",
    "Sentences: Debian's fortunes packages, and made-up syllables; no sentence is part of the weights",
)
_NOTICES = (
    "Copyright (c) 2022 OpenAI (encoder); Copyright (c) 2020-present Silero Team (speech detector)",
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation"
    ' files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,'
    " modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the"
    " Software is furnished to do so, subject to the following conditions: The above copyright notice and this permission notice"
    " shall be included in all copies or substantial portions of the Software.",
    'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE'
    " WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR"
    " COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR"
    " OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.",
)
"""The MIT licence of the pretrained parts, which goes where they go."""
Recognised = Mapping[str, Mapping[str, Any]]
"""Test of voices held out -> values of visemes.Recognition."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics on people held out: clean; babble: with other people talking 10 dB below; shut_share: fraction of the time in which the
    lips are shut, in the mean of people, in truth and as predicted."""

    clean: DriverMetrics
    babble: DriverMetrics
    shut_share: tuple[float, float]


def make(
    model: PhoneticModel, recognised: Recognised, evaluation: Evaluation | None, clips: Sequence[AvClip], *, seed: int, minutes: float
) -> dict[str, Any]:
    """Return the card as JSON values."""
    trained = [clip for clip in clips if person_of(clip) not in HELD_OUT]
    card: dict[str, Any] = {
        "name": "phonetic",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "licence": "Apache-2.0; encoder and speech detector MIT",
        "seed": seed,
        "made_with": f"torch {torch.__version__}, Python {platform.python_version()}, {minutes:.0f} minutes",
        "sources": list(_SOURCES),
        "notices": list(_NOTICES),
        "parameters": sum(
            p.numel()
            for net in (model.encoder, model.activity, model.projection, model.visemes, *model.mappers, *model.transcript_mappers)
            for p in net.parameters()
        ),
        "visemes": {name: {k: round(v, 3) for k, v in found.items()} for name, found in recognised.items()},
    }
    if evaluation is not None:
        minutes_seen = sum(clip.seconds for clip in trained) / 60
        card["footage"] = {"clips": len(trained), "people": len(people(trained)), "minutes": round(minutes_seen, 1)}
        card["mapper"] = {
            "method": f"{FOLDS} folds by person, each clip's constant offset removed",
            "clean": rounded_metrics(evaluation.clean),
            f"babble {BABBLE_DB:.0f} dB": rounded_metrics(evaluation.babble),
            "shut_share": [round(share, 3) for share in evaluation.shut_share],
        }
    return card


def as_markdown(card: Mapping[str, Any]) -> str:
    """Return the card as a page."""
    lines = [
        "# Model card: phonetic.safetensors",
        "",
        "From the audio of speech to the motion of a mouth: the pretrained encoder of a speech recogniser, 50 times a second; a pretrained"
        " detector of speech; and, of our own training, mappers from the encoder to opening, width and closed lips, a head that recognises"
        " 16 visemes, and transcript mappers from visemes alone, for speech whose words are known."
        " Written by `make train-driver` (training/README.md).",
        "",
        f"- Made on {card['date']} with {card['made_with']}, seed {card['seed']}; {card['parameters']:,} parameters",
        f"- Licence of the weights: {card['licence']}",
        *(f"- {source}" for source in card["sources"]),
        *_footage(card),
        "",
        "## How well the head recognises visemes in augmented speech of voices held out",
        "",
        "| | frames | right | right while somebody speaks | p b m found | p b m right |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {f['frames']} | {f['accuracy']:.3f} | {f['in_speech']:.3f} | {f['bilabial_recall']:.2f} |"
            f" {f['bilabial_precision']:.2f} |"
            for name, f in card["visemes"].items()
        ),
        *_mapper(card),
        "",
        "## Limits",
        "",
        "Few people and few minutes: r rises with every doubling of footage. Whispering and several people talking at once were not"
        " measured.",
        "",
        "## Licence of the pretrained parts (MIT)",
        "",
        *(part for notice in card["notices"] for part in (notice, "")),
    ]
    return "\n".join(lines)


def _footage(card: Mapping[str, Any]) -> list[str]:
    if "footage" not in card:
        return ["- No footage: the mappers are those of the weights that were in use"]
    footage = card["footage"]
    return [
        f"- Real mouths: {footage['clips']} clips, {footage['people']} people, {footage['minutes']} minutes, as audio and face-mesh points"
        " only, of clips from sources under Apache-2.0, MIT and CC BY 4.0 (the GRID corpus, Cooke et al. 2006; HDTF; the sample clips of"
        " SadTalker, VideoReTalking, LatentSync, LipNet, open-dubbing and others)"
    ]


def _mapper(card: Mapping[str, Any]) -> list[str]:
    if "mapper" not in card:
        return []
    found = card["mapper"]
    rows = {name: values for name, values in found.items() if isinstance(values, dict)}
    return [
        "",
        f"## How well mouths are followed, people held out ({found['method']})",
        "",
        "| | opening r (by frames) | mean of clips | median | width r | amplitude | closures hit | false |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {f['opening_r']:.3f} | {f['opening_r_mean']:.3f} | {f['opening_r_median']:.3f} | {f['width_r']:.3f} |"
            f" {f['amplitude']:.2f} | {f['closures_hit']:.2f} | {f['closures_false']:.2f} |"
            for name, f in rows.items()
        ),
        "",
        "Lips are shut in {:.1%} of the time in the mean of people, and in {:.1%} as predicted.".format(*found["shut_share"])
        + " The recipe, the rules and the calibration were chosen on these same folds, so the metrics of other people may be a little"
        " lower.",
    ]
