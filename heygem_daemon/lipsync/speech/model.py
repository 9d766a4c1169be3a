"""The weights of the speech driver: an encoder, some mappers whose mean is taken, and what turns their numbers into fractions."""

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
from heygem_daemon.lipsync.speech.mel import levelled_mel
from heygem_daemon.lipsync.speech.network import (
    CODE,
    COMPONENTS,
    DETECTOR_STRIDE,
    FEATURES,
    GUIDE_FEATURES,
    Encoder,
    Mapper,
    SpeechDetector,
    mapper_features,
)

FORMAT: Final = "phonetic 2"

_SPEAKS: Final = (0.2, 0.5)
"""Probabilities of speech below which nobody speaks, and from which on the encoder is believed."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From standardised outputs to fractions of a neutral person's range: fraction = mean + gain x output.

    shut: the probability of "lips shut" from which the lips begin to close, and that at which they are shut.
    script_part: how much the guides count beside the mappers where the words are known.
    """

    opening_mean: float = 0.4
    opening_gain: float = 0.3
    width_mean: float = 0.5
    width_gain: float = 0.25
    shut: tuple[float, float] = (0.3, 0.6)
    script_part: float = 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class Shapes:
    """What the lips of all people have in common, for training: components [120, COMPONENTS] of the lip points, and typical deviations
    [2 + COMPONENTS] of opening, width and components, outer eye corners 1 apart."""

    components: Float32
    deviations: Float32

    @classmethod
    def none(cls) -> "Shapes":
        """Return what is known before anybody was seen."""
        return cls(components=np.zeros((120, COMPONENTS), np.float32), deviations=np.ones(2 + COMPONENTS, np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class PhoneticModel:
    """Everything the driver knows.

    detector tells speech from music and noise; mappers hear all the encoder says, guides only its visemes: a script can correct those.
    card: what the weights were made of and how well they do, for people (JSON values). sha256: of the file the weights were read from,
    "" where there is none.
    """

    encoder: Encoder
    detector: SpeechDetector
    mappers: tuple[Mapper, ...]
    shapes: Shapes
    guides: tuple[Mapper, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    card: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def with_(self, **changes: Any) -> "PhoneticModel":
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """What is heard in a stretch, at 50 Hz: posteriors float32 [n, 16], silence where nobody speaks; features float32 [n, FEATURES]."""

    posteriors: Float32
    features: Float32


def hear(model: PhoneticModel, mel: Float32) -> Heard:
    """Return what is heard in levelled mel, float32 [2 n, 80] at 100 Hz."""
    with torch.inference_mode():
        spectrum = torch.from_numpy(np.ascontiguousarray(mel.T))[None]
        code, logits = model.encoder(spectrum)
        features = mapper_features(code, logits, spectrum)
        speaks = _at_50_hz(torch.sigmoid(model.detector(spectrum))[0].numpy(), logits.shape[2])
    low, high = _SPEAKS
    speech = np.clip((speaks - low) / (high - low), 0, 1)
    posteriors = _rows(torch.softmax(logits, 1)) * speech[:, None]
    posteriors[:, 0] += 1 - speech
    return Heard(posteriors=posteriors, features=_rows(features))


def _at_50_hz(values: Float32, rows: int) -> Float32:
    """Return float32 [rows]: values at 25 Hz, and between them."""
    return np.interp(np.arange(rows), np.arange(len(values)) * (DETECTOR_STRIDE // 2), values).astype(np.float32)


def hear_wave(model: PhoneticModel, wave: Float32) -> Heard:
    """Return what is heard in a whole recording in memory, float32 [n] at 16 kHz."""
    mel = levelled_mel(wave)
    return hear(model, mel[: len(mel) // 2 * 2])


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What the mappers say of a stretch, at 50 Hz: opening and width float32 [n], standardised; shut float32 [n], probability that
    the lips are shut."""

    opening: Float32
    width: Float32
    shut: Float32


def tell(model: PhoneticModel, features: Float32) -> Told:
    """Return the mean of the mappers for features, float32 [n, FEATURES]."""
    return _mean(model.mappers, features)


def guided(model: PhoneticModel, told: Told, heard: Heard) -> Told:
    """Return `told` mixed with what the guides say, where a script has corrected the posteriors of `heard`.

    The width stays: guides follow it less well than mappers (.22 against .31 on 150 scripted sentences of one speaker).
    """
    features = guide_features(heard)
    script = _mean(model.guides, features)
    part = model.calibration.script_part
    return Told(
        opening=(1 - part) * told.opening + part * script.opening,
        width=told.width,
        shut=(1 - part) * told.shut + part * script.shut,
    )


def guide_features(heard: Heard) -> Float32:
    """Return float32 [n, GUIDE_FEATURES]: the visemes of `heard`, the loudness and how it changes."""
    loud = heard.features[:, CODE + len(VISEMES) :][:, :2]
    return np.concatenate([2 * np.sqrt(heard.posteriors), loud], axis=1)


def _mean(mappers: Sequence[Mapper], features: Float32) -> Told:
    with torch.inference_mode():
        inputs = torch.from_numpy(np.ascontiguousarray(features.T))[None]
        outputs = torch.stack([mapper(inputs) for mapper in mappers])
        rows = _rows(outputs.mean(0))
        shut = torch.sigmoid(outputs[:, :, 2]).mean(0)[0].numpy()
    return Told(opening=rows[:, 0], width=rows[:, 1], shut=shut)


def _rows(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor[0].numpy().T)


def save(model: PhoneticModel, path: Path) -> None:
    """Write the weights as safetensors; calibration and card travel in its metadata."""
    tensors: dict[str, Tensor] = {f"encoder.{name}": value for name, value in model.encoder.state_dict().items()}
    tensors |= {f"detector.{name}": value for name, value in model.detector.state_dict().items()}
    for kind, mappers in (("mappers", model.mappers), ("guides", model.guides)):
        for i, mapper in enumerate(mappers):
            tensors |= {f"{kind}.{i}.{name}": value for name, value in mapper.state_dict().items()}
    tensors |= {f"shapes.{name}": torch.from_numpy(value) for name, value in vars(model.shapes).items()}
    metadata = {"format": FORMAT, "calibration": json.dumps(asdict(model.calibration)), "card": json.dumps(dict(model.card))}
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    path.write_bytes(safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()}, metadata))


def load(path: Path) -> PhoneticModel:
    """Read weights. Raises OSError where there are none, ValueError for a file of another kind or format."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: _full(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118  (no mapping: it has no __iter__)
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
    encoder.load_state_dict(_part(tensors, "encoder."))
    detector = SpeechDetector()
    detector.load_state_dict(_part(tensors, "detector."))
    return PhoneticModel(
        encoder=encoder.eval(),
        detector=detector.eval(),
        mappers=_mappers(tensors, "mappers", FEATURES),
        guides=_mappers(tensors, "guides", GUIDE_FEATURES),
        shapes=Shapes(components=tensors["shapes.components"].numpy(), deviations=tensors["shapes.deviations"].numpy()),
        calibration=Calibration(**calibration),
        card=json.loads(metadata["card"]),
    )


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _mappers(tensors: Mapping[str, Tensor], kind: str, inputs: int) -> tuple[Mapper, ...]:
    count = len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}.")})
    mappers = []
    for i in range(count):
        state = _part(tensors, f"{kind}.{i}.")
        layers = sum(name.startswith("layers.") and name.endswith(".bias") for name in state)
        mapper = Mapper(inputs=inputs, dilations=tuple(2**layer for layer in range(layers)))
        mapper.load_state_dict(state)
        mappers.append(mapper.eval())
    return tuple(mappers)
