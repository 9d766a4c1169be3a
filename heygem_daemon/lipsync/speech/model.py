"""Load, save and run the networks of the speech driver: an encoder, an ensemble of mappers, and their calibration."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES
from heygem_daemon.lipsync.speech.mel import normalised_mel
from heygem_daemon.lipsync.speech.network import (
    CODE,
    COMPONENTS,
    DETECTOR_STRIDE,
    FEATURES,
    TRANSCRIPT_FEATURES,
    Encoder,
    Mapper,
    SpeechDetector,
    mapper_features,
)

FORMAT: Final = "phonetic 2"

_SPEECH_PROBABILITY: Final = (0.2, 0.5)
"""Probabilities of speech below which the frame counts as silence, and from which the output of the encoder is used fully."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Convert standardised outputs to fractions of a neutral person's range: fraction = mean + gain x output.

    shut: the probability of "lips shut" from which the lips begin to close, and that at which they are shut.
    script_part: weight (0-1) of the transcript mappers beside the mappers where the words are known. The names are those in the file.
    """

    opening_mean: float = 0.4
    opening_gain: float = 0.3
    width_mean: float = 0.5
    width_gain: float = 0.25
    shut: tuple[float, float] = (0.3, 0.6)
    script_part: float = 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class LipPca:
    """Principal components of the lips of all people, for training: components [120, COMPONENTS] of the lip points, and typical standard
    deviations [2 + COMPONENTS] of opening, width and components, in units of the distance between the outer eye corners."""

    components: Float32
    deviations: Float32

    @classmethod
    def none(cls) -> "LipPca":
        """Return the values before training."""
        return cls(components=np.zeros((120, COMPONENTS), np.float32), deviations=np.ones(2 + COMPONENTS, np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class PhoneticModel:
    """All networks of the driver.

    detector: separates speech from music and noise. mappers: from all that the encoder gives to motion. transcript_mappers: from its
    visemes and the loudness alone, because a transcript can correct the visemes.
    card: training data and scores of the weights, for people (JSON values). sha256: of the file the weights were read from, "" where there
    is none.
    """

    encoder: Encoder
    detector: SpeechDetector
    mappers: tuple[Mapper, ...]
    lip_pca: LipPca
    transcript_mappers: tuple[Mapper, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    card: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def with_(self, **changes: Any) -> "PhoneticModel":
        """Return a copy with these fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True, eq=False)
class AcousticFeatures:
    """Output of the encoder at 50 Hz: viseme posteriors float32 [n, 16], silence where nobody speaks; features float32 [n, FEATURES]."""

    posteriors: Float32
    features: Float32


def encode(model: PhoneticModel, mel: Float32) -> AcousticFeatures:
    """Return the features of normalised mel, float32 [2 n, 80] at 100 Hz."""
    with torch.inference_mode():
        spectrum = torch.from_numpy(np.ascontiguousarray(mel.T))[None]
        code, logits = model.encoder(spectrum)
        features = mapper_features(code, logits, spectrum)
        probability = _at_50_hz(torch.sigmoid(model.detector(spectrum))[0].numpy(), logits.shape[2])
    low, high = _SPEECH_PROBABILITY
    speech = np.clip((probability - low) / (high - low), 0, 1)
    posteriors = _rows(torch.softmax(logits, 1)) * speech[:, None]
    posteriors[:, 0] += 1 - speech
    return AcousticFeatures(posteriors=posteriors, features=_rows(features))


def _at_50_hz(values: Float32, rows: int) -> Float32:
    """Return values at 25 Hz, interpolated to `rows` rows at 50 Hz, float32 [rows]."""
    return np.interp(np.arange(rows), np.arange(len(values)) * (DETECTOR_STRIDE // 2), values).astype(np.float32)


def encode_recording(model: PhoneticModel, wave: Float32) -> AcousticFeatures:
    """Return the features of a whole recording in memory, float32 [n] at 16 kHz."""
    mel = normalised_mel(wave)
    return encode(model, mel[: len(mel) // 2 * 2])


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionPrediction:
    """Output of the mappers at 50 Hz: opening and width float32 [n], standardised; shut float32 [n], probability that the lips are shut."""

    opening: Float32
    width: Float32
    shut: Float32


def predict(model: PhoneticModel, features: Float32) -> MotionPrediction:
    """Return the mean of the mappers for features, float32 [n, FEATURES]."""
    return _mean_prediction(model.mappers, features)


def blend_with_transcript(model: PhoneticModel, prediction: MotionPrediction, acoustic: AcousticFeatures) -> MotionPrediction:
    """Return `prediction` blended with that of the transcript mappers; a transcript has corrected the posteriors of `acoustic`.

    The width stays: the transcript mappers predict it less well (r .22 against .31 on 150 sentences of one speaker with transcripts).
    """
    corrected = _mean_prediction(model.transcript_mappers, transcript_features(acoustic))
    weight = model.calibration.script_part
    return MotionPrediction(
        opening=(1 - weight) * prediction.opening + weight * corrected.opening,
        width=prediction.width,
        shut=(1 - weight) * prediction.shut + weight * corrected.shut,
    )


def transcript_features(acoustic: AcousticFeatures) -> Float32:
    """Return the inputs of the transcript mappers, float32 [n, TRANSCRIPT_FEATURES]: visemes, loudness and its slope."""
    loudness = acoustic.features[:, CODE + len(VISEMES) :][:, :2]
    return np.concatenate([2 * np.sqrt(acoustic.posteriors), loudness], axis=1)


def _mean_prediction(mappers: Sequence[Mapper], features: Float32) -> MotionPrediction:
    with torch.inference_mode():
        inputs = torch.from_numpy(np.ascontiguousarray(features.T))[None]
        outputs = torch.stack([mapper(inputs) for mapper in mappers])
        rows = _rows(outputs.mean(0))
        shut = torch.sigmoid(outputs[:, :, 2]).mean(0)[0].numpy()
    return MotionPrediction(opening=rows[:, 0], width=rows[:, 1], shut=shut)


def _rows(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor[0].numpy().T)


def save(model: PhoneticModel, path: Path) -> None:
    """Write the weights as safetensors, calibration and card in its metadata.

    The file keeps the first names of two parts: "guides" are the transcript mappers, "shapes" the principal components of the lips.
    """
    tensors: dict[str, Tensor] = {f"encoder.{name}": value for name, value in model.encoder.state_dict().items()}
    tensors |= {f"detector.{name}": value for name, value in model.detector.state_dict().items()}
    for kind, mappers in (("mappers", model.mappers), ("guides", model.transcript_mappers)):
        for i, mapper in enumerate(mappers):
            tensors |= {f"{kind}.{i}.{name}": value for name, value in mapper.state_dict().items()}
    tensors |= {f"shapes.{name}": torch.from_numpy(value) for name, value in vars(model.lip_pca).items()}
    metadata = {"format": FORMAT, "calibration": json.dumps(asdict(model.calibration)), "card": json.dumps(dict(model.card))}
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    path.write_bytes(safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()}, metadata))


def load(path: Path) -> PhoneticModel:
    """Read weights. Raises OSError where there are none, ValueError for a file of another kind or format."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: _to_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118  (no mapping: it has no __iter__)
    except safetensors.SafetensorError as problem:
        raise ValueError(f"{path.name} is no safetensors file: {problem}") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path.name} holds {metadata.get('format', 'unknown weights')}; this version reads {FORMAT}")
    try:
        return _model(tensors, metadata).with_(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    except (KeyError, TypeError, RuntimeError) as problem:  # torch raises the last where a shape differs
        raise ValueError(f"{path.name} does not fit this version: {problem}") from problem


def _model(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> PhoneticModel:
    calibration = json.loads(metadata["calibration"])
    calibration["shut"] = tuple(calibration["shut"])
    encoder = Encoder()
    encoder.load_state_dict(_with_prefix(tensors, "encoder."))
    detector = SpeechDetector()
    detector.load_state_dict(_with_prefix(tensors, "detector."))
    return PhoneticModel(
        encoder=encoder.eval(),
        detector=detector.eval(),
        mappers=_mappers(tensors, "mappers", FEATURES),
        transcript_mappers=_mappers(tensors, "guides", TRANSCRIPT_FEATURES),
        lip_pca=LipPca(components=tensors["shapes.components"].numpy(), deviations=tensors["shapes.deviations"].numpy()),
        calibration=Calibration(**calibration),
        card=json.loads(metadata["card"]),
    )


def _to_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _mappers(tensors: Mapping[str, Tensor], kind: str, inputs: int) -> tuple[Mapper, ...]:
    count = len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}.")})
    mappers = []
    for i in range(count):
        state = _with_prefix(tensors, f"{kind}.{i}.")
        layers = sum(name.startswith("layers.") and name.endswith(".bias") for name in state)
        mapper = Mapper(inputs=inputs, dilations=tuple(2**layer for layer in range(layers)))
        mapper.load_state_dict(state)
        mappers.append(mapper.eval())
    return tuple(mappers)
