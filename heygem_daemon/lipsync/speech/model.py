"""Load, save and run the networks of the speech driver: an encoder, an ensemble of mappers, and their calibration."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.hum import without_hum
from heygem_daemon.lipsync.speech.mel import normalised_mel
from heygem_daemon.lipsync.speech.network import (
    COMPONENTS,
    FEATURES,
    Mapper,
    VisemeHead,
    loudness_rows,
)
from heygem_daemon.lipsync.speech.stream import SAMPLE_RATE, reblock
from heygem_daemon.lipsync.speech.voice_activity import SPEECH, VoiceActivity, speech_probability, widen
from heygem_daemon.lipsync.speech.whisper import LONGEST, STREAM, SpeechEncoder, rounded_as_used

FORMAT: Final = "phonetic 3"

SHUT_SHARES: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
"""Fractions of the time of speech in which a person's lips are shut; from person to person they run from 0 to .62."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Convert standardised outputs to fractions of a neutral person's range: fraction = mean + gain x output.

    shut_thresholds: for a person whose lips are shut in each of SHUT_SHARES of the time, the evidence of "lips shut" (0-1) from which they
    are; shut_share: that fraction for the person who is driven, or for most people.
    script_part: weight (0-1) of the transcript mappers beside the mappers where the words are known.
    """

    opening_mean: float = 0.4
    opening_gain: float = 0.3
    width_mean: float = 0.5
    width_gain: float = 0.25
    shut_thresholds: tuple[float, ...] = (1.0, 0.7, 0.6, 0.45, 0.35, 0.28, 0.2, 0.12)
    shut_share: float = 0.3
    script_part: float = 0.6

    @property
    def shut_threshold(self) -> float:
        """The evidence of "lips shut" from which the lips are."""
        return float(np.interp(self.shut_share, SHUT_SHARES, self.shut_thresholds))


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

    encoder: pretrained; activity: pretrained, whether anybody speaks; projection: from the encoder's residual stream to the features of
    the mappers; visemes: from the same to visemes. mappers: from the features to motion, half of them from those of each model of the
    encoder. transcript_mappers: from visemes and loudness alone, because a transcript can correct the visemes.
    card: training data and scores of the weights, for people (JSON values). sha256: of the file the weights were read from, "" where there
    is none.
    """

    encoder: SpeechEncoder
    activity: VoiceActivity
    projection: nn.Linear
    visemes: VisemeHead
    mappers: tuple[Mapper, ...]
    lip_pca: LipPca
    transcript_mappers: tuple[Mapper, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    card: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def with_(self, **changes: Any) -> "PhoneticModel":
        """Return a copy with these fields changed."""
        return replace(self, **changes)

    def for_cpu(self) -> "PhoneticModel":
        """Return the model for a driver on the CPU: the same results with less memory. Its weights are rounded, and not those to save."""
        return self.with_(encoder=rounded_as_used(self.encoder))

    def on(self, device: str) -> "PhoneticModel":
        """Return the model with what is large on `device`; the rest is quicker on the CPU. Its features are on the CPU in any case."""
        moved = {name: copy.deepcopy(getattr(self, name)).to(device) for name in ("encoder", "projection", "visemes")}
        return self.with_(**moved)


@dataclass(frozen=True, kw_only=True, eq=False)
class AcousticFeatures:
    """Output of the encoder at 50 Hz: features float32 [n, FEATURES]; posteriors of visemes float32 [n, 16], silence where nobody speaks;
    speech float32 [n], probability that somebody speaks; loudness float32 [n, 2], and its slope."""

    features: Float32
    posteriors: Float32
    speech: Float32
    loudness: Float32

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> "AcousticFeatures":
        """Return some rows; the arrays are views."""
        return AcousticFeatures(**{name: values[rows] for name, values in vars(self).items()})

    def concatenate(self, other: "AcousticFeatures") -> "AcousticFeatures":
        """Return these rows with `other` after them."""
        return AcousticFeatures(**{name: np.concatenate([values, getattr(other, name)]) for name, values in vars(self).items()})


def encode(model: PhoneticModel, mel: Float32, speech: Float32) -> list[AcousticFeatures]:
    """Return the features of B windows of n rows, n <= LONGEST.

    mel: float32 [B, 2 n, 80], normalised, at 100 Hz; speech: float32 [B, n], from `speech_probability`. The windows are independent.
    """
    with torch.inference_mode():
        spectrum = torch.from_numpy(np.ascontiguousarray(mel.transpose(0, 2, 1)))
        stream = model.encoder(spectrum.to(model.projection.weight.device))
        features, logits = model.projection(stream).cpu().numpy(), model.visemes(stream)
        posteriors = torch.softmax(logits, 2).cpu().numpy()
        loudness = loudness_rows(spectrum).numpy()
    return [_gated(*rows) for rows in zip(features, posteriors, speech, loudness, strict=True)]


def _gated(features: Float32, posteriors: Float32, probability: Float32, loudness: Float32) -> AcousticFeatures:
    """Return the rows of one window, without visemes where nobody speaks."""
    speech = widen(probability)
    low, high = SPEECH
    weight = np.clip((speech - low) / (high - low), 0, 1)
    posteriors = posteriors * weight[:, None]
    posteriors[:, 0] += 1 - weight
    return AcousticFeatures(features=features, posteriors=posteriors, speech=speech, loudness=loudness)


def encode_recording(model: PhoneticModel, wave: Float32) -> AcousticFeatures:
    """Return the features of a recording of half a minute at most, in one window: float32 [n] at 16 kHz."""
    wave = np.concatenate([wave[:0], *without_hum([wave])])
    mel = normalised_mel(wave)
    rows = len(mel) // 2
    if rows > LONGEST:
        raise ValueError(f"{len(wave) / SAMPLE_RATE:.0f} s are more than one window holds")
    speech = np.zeros(0, np.float32)
    probabilities = speech_probability(model.activity, reblock([wave]))
    while len(speech) < rows:
        speech = np.concatenate([speech, next(probabilities)])
    return encode(model, mel[None, : 2 * rows], speech[None, :rows])[0]


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
    return np.concatenate([2 * np.sqrt(acoustic.posteriors), acoustic.loudness], axis=1)


def _mean_prediction(mappers: Sequence[Mapper], features: Float32) -> MotionPrediction:
    with torch.inference_mode():
        inputs = torch.from_numpy(np.ascontiguousarray(features.T))[None]
        outputs = torch.stack([mapper(inputs) for mapper in mappers])
        rows = _rows(outputs.mean(0))
        shut = torch.sigmoid(outputs[:, :, 2]).mean(0)[0].numpy()
    return MotionPrediction(opening=rows[:, 0], width=rows[:, 1], shut=shut)


def _rows(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor[0].numpy().T)


_PARTS: Final[Mapping[str, Callable[[], nn.Module]]] = {
    "encoder": SpeechEncoder,
    "activity": VoiceActivity,
    "projection": lambda: nn.Linear(STREAM, FEATURES),
    "visemes": VisemeHead,
}
"""The networks of which there is one each, by their names in the model and in its file."""


def save(model: PhoneticModel, path: Path) -> None:
    """Write the weights as safetensors, calibration and card in its metadata.

    The file keeps the first names of two parts: "guides" are the transcript mappers, "shapes" the principal components of the lips.
    """
    tensors: dict[str, Tensor] = {}
    for part in _PARTS:
        tensors |= {f"{part}.{name}": value for name, value in getattr(model, part).state_dict().items()}
    for kind, mappers in (("mappers", model.mappers), ("guides", model.transcript_mappers)):
        for i, mapper in enumerate(mappers):
            tensors |= {f"{kind}.{i}.{name}": value for name, value in mapper.state_dict().items()}
    tensors |= {f"shapes.{name}": torch.from_numpy(value) for name, value in vars(model.lip_pca).items()}
    packed = {name: value.contiguous() for name, value in pack(tensors).items()}
    metadata = {"format": FORMAT, "calibration": json.dumps(asdict(model.calibration)), "card": json.dumps(dict(model.card))}
    path.write_bytes(safetensors.torch.save(packed, {**metadata, _CONTENT: _content_hash(packed)}))


_CONTENT: Final = "content_sha256"


def _content_hash(packed: Mapping[str, Tensor]) -> str:
    """Return the sha256 of the tensors of a file, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(packed):
        digest.update(name.encode())
        digest.update(packed[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


_LARGE: Final = 2**16
"""Numbers of the smallest tensor that is stored in 8 bits."""
_SCALE: Final = ".scale"


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as they are stored: large matrices in 8-bit integers with a scale per row, the rest in 16-bit floats."""
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.ndim < 2 or value.numel() < _LARGE:
            packed[name] = value.half() if value.is_floating_point() else value
            continue
        scale = (value.abs().flatten(1).amax(1) / 127).clamp_min(2.0**-20).half()
        packed[name + _SCALE] = scale
        packed[name] = (value / _per_row(scale, value)).round().clamp(-127, 127).to(torch.int8)
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `pack` was given, rounded, float32. Raises KeyError where a scale is missing."""
    return {
        name: value * _per_row(packed[name + _SCALE], value) if value.dtype == torch.int8 else _to_float32(value)
        for name, value in packed.items()
        if not name.endswith(_SCALE)
    }


def _to_float32(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _per_row(scale: Tensor, value: Tensor) -> Tensor:
    return scale.float().reshape(-1, *[1] * (value.ndim - 1))


def load(path: Path) -> PhoneticModel:
    """Read weights. Raises OSError where there are none, ValueError for a file of another kind or format, or with a changed content."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            packed = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping: it has no __iter__)
    except safetensors.SafetensorError as problem:
        raise ValueError(f"{path.name} is no safetensors file: {problem}") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path.name} holds {metadata.get('format', 'unknown weights')}; this version reads {FORMAT}")
    try:
        model = _model(unpack(packed), metadata).with_(sha256=_sha256(path))
    except (KeyError, TypeError, RuntimeError) as problem:  # torch raises the last where a shape differs
        raise ValueError(f"{path.name} does not fit this version: {problem}") from problem
    if metadata.get(_CONTENT, "") not in {"", _content_hash(packed)}:
        raise ValueError(f"{path.name} has changed since it was written: its sha256 differs")
    return model


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _model(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> PhoneticModel:
    calibration = json.loads(metadata["calibration"])
    calibration["shut_thresholds"] = tuple(calibration["shut_thresholds"])
    with torch.device("meta"):  # no weights are made that would be replaced
        parts: dict[str, Any] = {name: make().eval() for name, make in _PARTS.items()}
    for name, part in parts.items():
        part.load_state_dict(_with_prefix(tensors, f"{name}."), assign=True)
    return PhoneticModel(
        **parts,
        mappers=_mappers(tensors, "mappers"),
        transcript_mappers=_mappers(tensors, "guides"),
        lip_pca=LipPca(components=tensors["shapes.components"].numpy(), deviations=tensors["shapes.deviations"].numpy()),
        calibration=Calibration(**calibration),
        card=json.loads(metadata["card"]),
    )


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _mappers(tensors: Mapping[str, Tensor], kind: str) -> tuple[Mapper, ...]:
    count = len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}.")})
    mappers = []
    for i in range(count):
        state = _with_prefix(tensors, f"{kind}.{i}.")
        layers = sum(name.startswith("layers.") and name.endswith(".bias") for name in state)
        mapper = Mapper(inputs=state["entry.weight"].shape[1], dilations=tuple(2**layer for layer in range(layers)))
        mapper.load_state_dict(state)
        mappers.append(mapper.eval())
    return tuple(mappers)
