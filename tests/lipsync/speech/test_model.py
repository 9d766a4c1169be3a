"""Weights survive their file, and other files are refused."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech import weights
from heygem_daemon.lipsync.speech.mel import normalised_mel
from heygem_daemon.lipsync.speech.model import (
    AcousticFeatures,
    Calibration,
    LipPca,
    PhoneticModel,
    blend_with_transcript,
    encode,
    load,
    predict,
    save,
)
from heygem_daemon.lipsync.speech.network import (
    COMPONENTS,
    ENCODER_REACH,
    FEATURES,
    MAPPER_REACH,
    TRANSCRIPT_FEATURES,
    Encoder,
    Mapper,
    SpeechDetector,
)
from tests.lipsync.driver_contract import talk

CARD = {"name": "phonetic", "sources": ["a", "b"], "encoder": {"unseen": {"accuracy": 0.7}}}


def mappers(count: int, inputs: int) -> tuple[Mapper, ...]:
    made = tuple(Mapper(inputs=inputs).eval() for _ in range(count))
    for mapper in made:
        torch.nn.init.normal_(mapper.exit.weight, std=0.3)
    return made


def always(logit: float = 8.0) -> SpeechDetector:
    """Return a detector to which everything is speech, or, for a logit far below 0, nothing is."""
    detector = SpeechDetector().eval()
    assert detector.exit.bias is not None
    torch.nn.init.constant_(detector.exit.bias, logit)
    return detector


@pytest.fixture(scope="module")
def untrained() -> PhoneticModel:
    """A model with random weights, of which every part differs from the defaults."""
    torch.manual_seed(3)
    noise = np.random.default_rng(3)
    return PhoneticModel(
        encoder=Encoder().eval(),
        detector=always(),
        mappers=mappers(2, FEATURES),
        transcript_mappers=mappers(1, TRANSCRIPT_FEATURES),
        lip_pca=LipPca(
            components=noise.normal(0, 1, (120, COMPONENTS)).astype(np.float32),
            deviations=noise.random(2 + COMPONENTS).astype(np.float32),
        ),
        calibration=Calibration(opening_mean=0.37, opening_gain=0.61, width_mean=0.52, width_gain=0.19, shut=(0.2, 0.55), script_part=0.4),
        card=CARD,
    )


@pytest.fixture(scope="module")
def mel() -> Float32:
    return normalised_mel(talk(3))[:300]


def test_a_model_read_from_its_file_is_the_same_in_half_precision(untrained: PhoneticModel, mel: Float32, tmp_path: Path) -> None:
    save(untrained, tmp_path / "a.safetensors")
    read = load(tmp_path / "a.safetensors")
    assert (read.calibration, read.card) == (untrained.calibration, CARD)
    assert (len(read.mappers), len(read.transcript_mappers)) == (2, 1)
    np.testing.assert_allclose(read.lip_pca.components, untrained.lip_pca.components, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(read.lip_pca.deviations, untrained.lip_pca.deviations, rtol=1e-3, atol=1e-4)
    before, after = encode(untrained, mel), encode(read, mel)
    np.testing.assert_allclose(after.posteriors, before.posteriors, atol=5e-3)
    for name in ("opening", "width", "shut"):
        there, here = getattr(predict(untrained, before.features), name), getattr(predict(read, before.features), name)
        assert there.std() > 0
        np.testing.assert_allclose(here, there, atol=1e-2)


def test_a_model_saved_again_is_the_same_file(untrained: PhoneticModel, tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save(untrained, first)
    save(load(first), second)
    there, here = safetensors.torch.load_file(first), safetensors.torch.load_file(second)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)


def test_a_loaded_model_is_in_evaluation_mode(untrained: PhoneticModel, tmp_path: Path) -> None:
    save(untrained, tmp_path / "a.safetensors")
    read = load(tmp_path / "a.safetensors")
    assert not any(net.training for net in (read.encoder, *read.mappers, *read.transcript_mappers))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_text("these are no weights at all, only words")
    with pytest.raises(ValueError, match=r"notes\.safetensors is no safetensors file"):
        load(path)


def test_half_a_file_is_refused(untrained: PhoneticModel, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save(untrained, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="no safetensors file"):
        load(path)


@pytest.mark.parametrize(("metadata", "named"), [(None, "unknown weights"), ({"format": "phonetic 0"}, "phonetic 0")])
def test_weights_of_another_format_are_refused_by_name(tmp_path: Path, metadata: dict[str, str] | None, named: str) -> None:
    path = tmp_path / "old.safetensors"
    safetensors.torch.save_file({"encoder.weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=f"holds {named}; this version reads phonetic 2"):
        load(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.safetensors"):
        load(tmp_path / "none.safetensors")


def test_posteriors_are_probabilities_and_features_have_their_number(untrained: PhoneticModel, mel: Float32) -> None:
    acoustic = encode(untrained, mel)
    assert acoustic.posteriors.shape == (150, len(VISEMES))
    assert acoustic.features.shape == (150, FEATURES)
    np.testing.assert_allclose(acoustic.posteriors.sum(1), 1, atol=1e-5)


def test_a_row_of_the_encoder_depends_on_nothing_beyond_its_reach(untrained: PhoneticModel, mel: Float32) -> None:
    changed = mel.copy()
    changed[200:] += 1
    there, here = encode(untrained, mel).posteriors, encode(untrained, changed).posteriors
    safe = (200 - ENCODER_REACH) // 2
    np.testing.assert_allclose(here[:safe], there[:safe], atol=1e-6)
    assert np.abs(here[98:] - there[98:]).max() > 1e-4


def test_a_row_of_the_mapper_depends_on_nothing_beyond_its_reach(untrained: PhoneticModel, mel: Float32) -> None:
    features = encode(untrained, mel).features
    changed = features.copy()
    changed[100:] += 1
    there, here = predict(untrained, features).opening, predict(untrained, changed).opening
    np.testing.assert_allclose(here[: 100 - MAPPER_REACH], there[: 100 - MAPPER_REACH], atol=1e-5)
    assert abs(here[99] - there[99]) > 1e-4


def test_the_calibration_sets_the_weight_of_a_transcript(untrained: PhoneticModel, mel: Float32) -> None:
    acoustic = encode(untrained, mel)
    sure = np.eye(len(VISEMES), dtype=np.float32)[np.full(len(acoustic.posteriors), viseme_index("PP"))]
    prediction = predict(untrained, acoustic.features)
    corrected = AcousticFeatures(posteriors=sure, features=acoustic.features)

    def opening(weight: float) -> Float32:
        calibration = Calibration(script_part=weight)
        return blend_with_transcript(untrained.with_(calibration=calibration), prediction, corrected).opening

    np.testing.assert_allclose(opening(0.0), prediction.opening, atol=1e-6)
    np.testing.assert_allclose(opening(0.5), (opening(0.0) + opening(1.0)) / 2, atol=1e-5)
    assert np.abs(opening(1.0) - prediction.opening).max() > 0.01


def test_learned_weights_have_priority_over_those_put_beside_the_models_and_these_over_the_shipped(
    tmp_path: Path, untrained: PhoneticModel
) -> None:
    def name() -> str:
        return str(weights.load_weights(tmp_path).card["name"])

    assert name() == "phonetic"
    save(untrained.with_(card={"name": "own"}), tmp_path / "phonetic.safetensors")
    assert name() == "own"
    (tmp_path / "local").mkdir()
    save(untrained.with_(card={"name": "learned"}), tmp_path / "local" / "phonetic.safetensors")
    assert name() == "learned"


def test_weights_learned_by_another_version_are_ignored(tmp_path: Path) -> None:
    learned = tmp_path / "local" / "phonetic.safetensors"
    learned.parent.mkdir()
    learned.write_bytes(b"of an earlier version")
    assert weights.load_weights(tmp_path).card["name"] == "phonetic"


def test_missing_weights_are_a_setup_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "shipped_places", lambda: (tmp_path / "a", tmp_path / "b"))
    for look in (weights.shipped_weights, lambda: weights.load_weights(tmp_path)):
        with pytest.raises(SetupError) as raised:
            look()
        assert raised.value.code == "models_missing"


def test_the_shipped_weights_are_small_and_describe_themselves(model: PhoneticModel) -> None:
    assert weights.shipped_weights().stat().st_size < 4 * 2**20
    assert model.mappers
    assert model.transcript_mappers
    assert model.card.get("name") == "phonetic"
    assert model.card["licence"] == "Apache-2.0"
    assert len(model.card["date"]) == len("2026-01-01")


def test_without_speech_there_is_silence_whatever_the_encoder_finds(untrained: PhoneticModel, mel: Float32) -> None:
    nobody, somebody = (encode(untrained.with_(detector=always(logit)), mel).posteriors for logit in (-30.0, 30.0))
    assert (nobody[:, 0] > 0.999).all()
    assert somebody[:, 0].max() < 0.9
    for posteriors in (nobody, somebody):
        assert posteriors.min() >= 0
        np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)
