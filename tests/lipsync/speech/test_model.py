"""Weights survive their file, and files that are none are told apart."""

import numpy as np
import pytest
import safetensors.torch
import torch

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech import weights
from heygem_daemon.lipsync.speech.mel import levelled_mel
from heygem_daemon.lipsync.speech.model import Calibration, Heard, PhoneticModel, Shapes, guided, hear, load, save, tell
from heygem_daemon.lipsync.speech.network import (
    COMPONENTS,
    ENCODER_REACH,
    FEATURES,
    GUIDE_FEATURES,
    MAPPER_REACH,
    Encoder,
    Mapper,
    SpeechDetector,
)
from tests.lipsync.driver_contract import talk

CARD = {"name": "phonetic", "sources": ["a", "b"], "encoder": {"unseen": {"accuracy": 0.7}}}


def mappers(count, inputs):
    made = tuple(Mapper(inputs=inputs).eval() for _ in range(count))
    for mapper in made:
        torch.nn.init.normal_(mapper.exit.weight, std=0.3)
    return made


def always(logit=8.0):
    """A detector to which everything is speech, or, far below 0, nothing is."""
    detector = SpeechDetector().eval()
    torch.nn.init.constant_(detector.exit.bias, logit)
    return detector


@pytest.fixture(scope="module")
def untrained():
    """A model with weights by chance, whose every part differs from the defaults."""
    torch.manual_seed(3)
    noise = np.random.default_rng(3)
    return PhoneticModel(
        encoder=Encoder().eval(),
        detector=always(),
        mappers=mappers(2, FEATURES),
        guides=mappers(1, GUIDE_FEATURES),
        shapes=Shapes(
            components=noise.normal(0, 1, (120, COMPONENTS)).astype(np.float32),
            deviations=noise.random(2 + COMPONENTS).astype(np.float32),
        ),
        calibration=Calibration(opening_mean=0.37, opening_gain=0.61, width_mean=0.52, width_gain=0.19, shut=(0.2, 0.55), script_part=0.4),
        card=CARD,
    )


@pytest.fixture(scope="module")
def mel():
    return levelled_mel(talk(3))[:300]


def test_a_model_is_the_same_after_its_file_but_for_half_precision(untrained, mel, tmp_path):
    save(untrained, tmp_path / "a.safetensors")
    read = load(tmp_path / "a.safetensors")
    assert (read.calibration, read.card) == (untrained.calibration, CARD)
    assert (len(read.mappers), len(read.guides)) == (2, 1)
    np.testing.assert_allclose(read.shapes.components, untrained.shapes.components, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(read.shapes.deviations, untrained.shapes.deviations, rtol=1e-3, atol=1e-4)
    before, after = hear(untrained, mel), hear(read, mel)
    np.testing.assert_allclose(after.posteriors, before.posteriors, atol=5e-3)
    for name in ("opening", "width", "shut"):
        there, here = getattr(tell(untrained, before.features), name), getattr(tell(read, before.features), name)
        assert there.std() > 0
        np.testing.assert_allclose(here, there, atol=1e-2)


def test_a_model_saved_again_is_the_same_file(untrained, tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save(untrained, first)
    save(load(first), second)
    there, here = safetensors.torch.load_file(first), safetensors.torch.load_file(second)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)


def test_what_is_read_is_ready_to_use(untrained, tmp_path):
    save(untrained, tmp_path / "a.safetensors")
    read = load(tmp_path / "a.safetensors")
    assert not any(net.training for net in (read.encoder, *read.mappers, *read.guides))


def test_a_file_of_another_kind_is_no_model(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_text("these are no weights at all, only words")
    with pytest.raises(ValueError, match=r"notes\.safetensors is no safetensors file"):
        load(path)


def test_half_a_file_is_no_model(untrained, tmp_path):
    path = tmp_path / "half.safetensors"
    save(untrained, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="no safetensors file"):
        load(path)


@pytest.mark.parametrize(("metadata", "told"), [(None, "unknown weights"), ({"format": "phonetic 0"}, "phonetic 0")])
def test_weights_of_another_format_are_refused_by_name(tmp_path, metadata, told):
    path = tmp_path / "old.safetensors"
    safetensors.torch.save_file({"encoder.weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=f"holds {told}; this version reads phonetic 2"):
        load(path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match=r"none\.safetensors"):
        load(tmp_path / "none.safetensors")


def test_posteriors_are_probabilities_and_features_are_as_many_as_promised(untrained, mel):
    heard = hear(untrained, mel)
    assert heard.posteriors.shape == (150, len(VISEMES))
    assert heard.features.shape == (150, FEATURES)
    np.testing.assert_allclose(heard.posteriors.sum(1), 1, atol=1e-5)


def test_a_row_hears_no_further_than_its_reach(untrained, mel):
    changed = mel.copy()
    changed[200:] += 1
    there, here = hear(untrained, mel).posteriors, hear(untrained, changed).posteriors
    safe = (200 - ENCODER_REACH) // 2
    np.testing.assert_allclose(here[:safe], there[:safe], atol=1e-6)
    assert np.abs(here[98:] - there[98:]).max() > 1e-4


def test_a_row_is_told_from_no_further_than_its_reach(untrained, mel):
    features = hear(untrained, mel).features
    changed = features.copy()
    changed[100:] += 1
    there, here = tell(untrained, features).opening, tell(untrained, changed).opening
    np.testing.assert_allclose(here[: 100 - MAPPER_REACH], there[: 100 - MAPPER_REACH], atol=1e-5)
    assert abs(here[99] - there[99]) > 1e-4


def test_a_script_counts_as_much_as_the_calibration_says(untrained, mel):
    heard = hear(untrained, mel)
    sure = np.eye(len(VISEMES), dtype=np.float32)[np.full(len(heard.posteriors), viseme_index("PP"))]
    told = tell(untrained, heard.features)
    corrected = Heard(posteriors=sure, features=heard.features)

    def part(share):
        calibration = Calibration(script_part=share)
        return guided(untrained.with_(calibration=calibration), told, corrected).opening

    np.testing.assert_allclose(part(0.0), told.opening, atol=1e-6)
    np.testing.assert_allclose(part(0.5), (part(0.0) + part(1.0)) / 2, atol=1e-5)
    assert np.abs(part(1.0) - told.opening).max() > 0.01


def test_weights_learned_here_win_over_those_put_here_and_those_over_the_shipped(tmp_path, untrained):
    def name() -> str:
        return weights.load_weights(tmp_path).card["name"]

    assert name() == "phonetic"
    save(untrained.with_(card={"name": "own"}), tmp_path / "phonetic.safetensors")
    assert name() == "own"
    (tmp_path / "local").mkdir()
    save(untrained.with_(card={"name": "learned"}), tmp_path / "local" / "phonetic.safetensors")
    assert name() == "learned"


def test_weights_learned_under_another_version_are_passed_over(tmp_path):
    learned = tmp_path / "local" / "phonetic.safetensors"
    learned.parent.mkdir()
    learned.write_bytes(b"of an earlier version")
    assert weights.load_weights(tmp_path).card["name"] == "phonetic"


def test_weights_that_are_nowhere_are_an_error_of_the_set_up(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "shipped_places", lambda: (tmp_path / "a", tmp_path / "b"))
    for look in (weights.shipped_weights, lambda: weights.load_weights(tmp_path)):
        with pytest.raises(SetupError) as raised:
            look()
        assert raised.value.code == "models_missing"


def test_the_shipped_weights_are_small_and_say_what_they_are(model):
    assert weights.shipped_weights().stat().st_size < 4 * 2**20
    assert model.mappers
    assert model.guides
    assert model.card.get("name") == "phonetic"
    assert model.card["licence"] == "Apache-2.0"
    assert len(model.card["date"]) == len("2026-01-01")


def test_where_nobody_speaks_silence_is_heard_whatever_the_encoder_says(untrained, mel):
    nobody, somebody = (hear(untrained.with_(detector=always(logit)), mel).posteriors for logit in (-30.0, 30.0))
    assert (nobody[:, 0] > 0.999).all()
    assert somebody[:, 0].max() < 0.9
    for posteriors in (nobody, somebody):
        assert posteriors.min() >= 0
        np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)
