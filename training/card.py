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
from training.splits import HELD_OUT, person_of

_SOURCES = (
    "Synthetic speech: espeak-ng (a GPL-3.0 program run as a tool; 13 languages, 67 timbres), the flite voices slt and rms (BSD-like),"
    " Festival's voices ked (free for any use) and slt (BSD-like); five timbres, the voices awb and kal, and three languages are held"
    " out for the tests",
    "Recorded speech with phoneme labels: the recordings inside Debian's festvox-ru (one speaker, BSD-like)",
    "Music: composed by chance, played by FluidSynth (an LGPL-2.1 program run as a tool) with the FluidR3 GM samples (MIT)",
    "Sentences: Debian's fortunes packages, and made-up syllables; no sentence is part of the weights",
)


@dataclass(frozen=True, kw_only=True)
class RecognitionMetrics:
    """Metrics of encoder and detector on voices and music held out. recognised: test -> values of encoder.Recognition;
    detected: values of detector.Detection."""

    recognised: Mapping[str, Mapping[str, Any]]
    detected: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics on people held out: clean; babble: with other people talking 10 dB below; music_motion: lip speed to composed music
    that was held out over that to speech."""

    clean: DriverMetrics
    babble: DriverMetrics
    music_motion: float


def make(
    model: PhoneticModel, metrics: RecognitionMetrics, evaluation: Evaluation | None, clips: Sequence[AvClip], *, seed: int, minutes: float
) -> dict[str, Any]:
    """Return the card as JSON values."""
    trained = [clip for clip in clips if person_of(clip) not in HELD_OUT]
    card: dict[str, Any] = {
        "name": "phonetic",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "licence": "Apache-2.0",
        "seed": seed,
        "made_with": f"torch {torch.__version__}, Python {platform.python_version()}, {minutes:.0f} minutes",
        "sources": list(_SOURCES),
        "parameters": sum(
            p.numel() for net in (model.encoder, model.detector, *model.mappers, *model.transcript_mappers) for p in net.parameters()
        ),
        "encoder": {name: {k: round(v, 3) for k, v in found.items()} for name, found in metrics.recognised.items()},
        "detector": {name: round(value, 4) for name, value in metrics.detected.items()},
    }
    if evaluation is not None:
        minutes_seen = sum(clip.seconds for clip in trained) / 60
        card["footage"] = {"clips": len(trained), "people": len(people(trained)), "minutes": round(minutes_seen, 1)}
        card["mapper"] = {
            "method": f"{FOLDS} folds by person, each clip's constant offset removed",
            "clean": rounded_metrics(evaluation.clean),
            f"babble {BABBLE_DB:.0f} dB": rounded_metrics(evaluation.babble),
            "music_motion": round(evaluation.music_motion, 3),
        }
    return card


def as_markdown(card: Mapping[str, Any]) -> str:
    """Return the card as a page."""
    lines = [
        "# Model card: phonetic.safetensors",
        "",
        "From the audio of speech to the motion of a mouth: an encoder that recognises 16 visemes 50 times a second, a detector that"
        " separates speech from music and noise, mappers from the features of the encoder to opening, width and closed lips, and transcript"
        " mappers that do the same from visemes alone, for speech whose words are known."
        " Written by `make train-driver` (training/README.md).",
        "",
        f"- Made on {card['date']} with {card['made_with']}, seed {card['seed']}; {card['parameters']:,} parameters",
        f"- Licence of the weights: {card['licence']}",
        *(f"- {source}" for source in card["sources"]),
        *_footage(card),
        "",
        "## How well the encoder recognises visemes in augmented speech of voices held out",
        "",
        "| | frames | right | right while somebody speaks | p b m found | p b m right |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {f['frames']} | {f['accuracy']:.3f} | {f['in_speech']:.3f} | {f['bilabial_recall']:.2f} |"
            f" {f['bilabial_precision']:.2f} |"
            for name, f in card["encoder"].items()
        ),
        "",
        f"The detector takes {card['detector']['speech_kept']:.1%} of that speech for speech, and {card['detector']['music_passed']:.1%} of"
        " augmented music of pieces held out.",
        *_mapper(card),
        "",
        "## Limits",
        "",
        "Few people and few minutes: r rises with every doubling of footage. Lips that rest a little apart in pauses are driven shut."
        " Singing, whispering and several people talking at once were not measured.",
        "",
    ]
    return "\n".join(lines)


def _footage(card: Mapping[str, Any]) -> list[str]:
    if "footage" not in card:
        return ["- No footage: the mappers were distilled from the weights in use"]
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
        f"Music alone, pieces composed as in the training but held out, moves the mouth {found['music_motion']:.1%} as much as speech"
        " does; training/README.md has recorded music. The recipe, the rules and the calibration were chosen on these same folds, so the"
        " metrics of other people may be a little lower.",
    ]
