"""Weights survive their file, other files are refused; windows are encoded alike, alone or in a batch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from heygem_daemon.core.errors import SetupError
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.motion import VISEMES, viseme_index
from heygem_daemon.lipsync.speech import weights
from heygem_daemon.lipsync.speech.mel import BANDS, DECADE, LEVEL, SILENCE, normalised_mel
from heygem_daemon.lipsync.speech.model import (
    SHUT_SHARES,
    AcousticFeatures,
    Calibration,
    LipPca,
    PhoneticModel,
    blend_with_transcript,
    encode,
    encode_recording,
    load,
    pack,
    predict,
    save,
    transcript_features,
    unpack,
)
from heygem_daemon.lipsync.speech.network import (
    COMPONENTS,
    FEATURES,
    HEAD_REACH,
    MAPPER_REACH,
    PART,
    TRANSCRIPT_FEATURES,
    Mapper,
    VisemeHead,
    loudness_rows,
)
from heygem_daemon.lipsync.speech.voice_activity import REACH, SPEECH, VoiceActivity
from heygem_daemon.lipsync.speech.whisper import STREAM, SpeechEncoder
from tests.lipsync.driver_contract import RATE, talk

ROWS = 150
SPEAKING = np.ones(ROWS, np.float32)
"""Probability of speech in every row of `mel`."""
CARD = {"name": "phonetic", "sources": ["a", "b"], "encoder": {"unseen": {"accuracy": 0.7}}}


def mappers(inputs: int, *firsts: int) -> tuple[Mapper, ...]:
    """Return mappers that read `inputs` features, each from one of `firsts` on."""
    made = tuple(Mapper(inputs=inputs, first=first).eval() for first in firsts)
    for mapper in made:
        torch.nn.init.normal_(mapper.exit.weight, std=0.3)
    return made


@pytest.fixture(scope="module")
def untrained() -> PhoneticModel:
    """A model with random weights, of which every part differs from the defaults."""
    torch.manual_seed(3)
    noise = np.random.default_rng(3)
    return PhoneticModel(
        encoder=SpeechEncoder().eval(),
        activity=VoiceActivity().eval(),
        projection=nn.Linear(STREAM, FEATURES).eval(),
        visemes=VisemeHead().eval(),
        mappers=mappers(PART, 0, FEATURES - PART),
        transcript_mappers=mappers(TRANSCRIPT_FEATURES, 0),
        lip_pca=LipPca(
            components=noise.normal(0, 1, (120, COMPONENTS)).astype(np.float32),
            deviations=noise.random(2 + COMPONENTS).astype(np.float32),
        ),
        calibration=Calibration(
            opening_mean=0.37,
            opening_gain=0.61,
            width_mean=0.52,
            width_gain=0.19,
            shut_thresholds=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2),
            shut_share=0.25,
            script_part=0.4,
        ),
        card=CARD,
    )


@pytest.fixture(scope="module")
def saved(untrained: PhoneticModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `untrained`."""
    path = tmp_path_factory.mktemp("weights") / "a.safetensors"
    save(untrained, path)
    return path


@pytest.fixture(scope="module")
def read(saved: Path) -> PhoneticModel:
    """`untrained`, read from its file."""
    return load(saved)


@pytest.fixture(scope="module")
def mel() -> Float32:
    return normalised_mel(talk(3))[: 2 * ROWS]


@pytest.fixture(scope="module")
def acoustic(untrained: PhoneticModel, mel: Float32) -> AcousticFeatures:
    return encoded(untrained, mel)


def encoded(model: PhoneticModel, mel: Float32) -> AcousticFeatures:
    """Return the features of one window of ROWS rows, in all of which somebody speaks."""
    (acoustic,) = encode(model, mel[None], SPEAKING[None])
    return acoustic


def difference(found: Float32, expected: Float32) -> float:
    """Return how far `found` is off, in parts of the spread of `expected`."""
    return float((found - expected).std() / expected.std())


def test_a_model_read_from_its_file_is_the_same_but_for_rounding(untrained: PhoneticModel, read: PhoneticModel, mel: Float32) -> None:
    assert (read.calibration, read.card) == (untrained.calibration, CARD)
    assert (len(read.mappers), len(read.transcript_mappers)) == (2, 1)
    np.testing.assert_allclose(read.lip_pca.components, untrained.lip_pca.components, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(read.lip_pca.deviations, untrained.lip_pca.deviations, rtol=1e-3, atol=1e-4)
    before, after = encoded(untrained, mel), encoded(read, mel)
    np.testing.assert_allclose(after.posteriors, before.posteriors, atol=5e-3)
    assert difference(after.features, before.features) < 0.02
    for name in ("opening", "width", "shut"):
        there, here = (getattr(predict(model, acoustic.features), name) for model, acoustic in ((untrained, before), (read, after)))
        assert there.std() > 0
        assert difference(here, there) < 0.05


def test_a_model_saved_again_is_the_same_file(saved: Path, read: PhoneticModel, tmp_path: Path) -> None:
    again = tmp_path / "b.safetensors"
    save(read, again)
    there, here = safetensors.torch.load_file(saved), safetensors.torch.load_file(again)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)


def test_a_loaded_model_is_in_evaluation_mode(read: PhoneticModel) -> None:
    networks = (read.encoder, read.activity, read.projection, read.visemes, *read.mappers, *read.transcript_mappers)
    assert not any(part.training for network in networks for part in network.modules())


def test_large_matrices_are_stored_in_8_bits_and_come_back_within_half_a_step() -> None:
    noise = torch.Generator().manual_seed(4)
    large = torch.randn(300, 256, generator=noise) * torch.logspace(-3, 1, 300)[:, None]
    packed = pack({"large": large})
    assert packed["large"].dtype == torch.int8
    assert sum(value.nbytes for value in packed.values()) < 0.26 * large.nbytes
    returned = unpack(packed)["large"]
    assert returned.dtype == torch.float32
    step = large.abs().amax(1, keepdim=True) / 127
    assert ((returned - large).abs() <= 0.56 * step).all()  # the scale is rounded to 16 bits as well
    relative = (returned - large).std(1) / large.std(1)
    assert relative.max() < 0.015


@pytest.mark.parametrize("shape", [(300, 256), (64, 128, 9)], ids=["matrix", "convolution"])
def test_packing_what_was_unpacked_changes_nothing_more(shape: tuple[int, ...]) -> None:
    value = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    once = unpack(pack({"large": value}))
    twice = unpack(pack(once))
    assert torch.equal(once["large"], twice["large"])
    assert once["large"].shape == shape


def test_what_is_small_or_has_one_dimension_is_stored_in_16_bits() -> None:
    noise = torch.Generator().manual_seed(6)
    tensors = {"small": torch.randn(100, 100, generator=noise), "long": torch.randn(2**17, generator=noise)}
    packed = pack(tensors)
    assert packed.keys() == tensors.keys()
    assert {value.dtype for value in packed.values()} == {torch.float16}
    for name, value in unpack(packed).items():
        torch.testing.assert_close(value, tensors[name], atol=1e-6, rtol=1e-3)


def test_rows_of_zeros_stay_zeros() -> None:
    value = torch.randn(300, 256, generator=torch.Generator().manual_seed(7))
    value[[0, 17]] = 0
    returned = unpack(pack({"large": value}))["large"]
    assert (returned[[0, 17]] == 0).all()
    assert torch.isfinite(returned).all()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_text("these are no weights at all, only words")
    with pytest.raises(ValueError, match=r"notes\.safetensors is no safetensors file"):
        load(path)


def test_half_a_file_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(saved.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="no safetensors file"):
        load(path)


@pytest.mark.parametrize(("metadata", "named"), [(None, "unknown weights"), ({"format": "phonetic 2"}, "phonetic 2")])
def test_weights_of_another_format_are_refused_by_name(tmp_path: Path, metadata: dict[str, str] | None, named: str) -> None:
    path = tmp_path / "old.safetensors"
    safetensors.torch.save_file({"encoder.weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=f"holds {named}; this version reads phonetic 3"):
        load(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.safetensors"):
        load(tmp_path / "none.safetensors")


def rewritten(saved: Path, path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """Write another file with the metadata of `saved`."""
    with safetensors.safe_open(saved, "pt") as file:
        safetensors.torch.save_file(tensors, path, file.metadata())
    return path


@pytest.mark.parametrize(
    "lost", ["encoder.base.blocks.0.feed_entry.weight.scale", "encoder.tiny.entry.bias", "activity.exit.weight", "shapes.deviations"]
)
def test_a_file_without_one_of_its_tensors_is_refused(saved: Path, tmp_path: Path, lost: str) -> None:
    tensors = safetensors.torch.load_file(saved)
    del tensors[lost]
    with pytest.raises(ValueError, match=r"less\.safetensors does not fit this version") as raised:
        load(rewritten(saved, tmp_path / "less.safetensors", tensors))
    assert lost.partition(".")[2] in str(raised.value)


def test_a_file_with_a_tensor_of_another_shape_is_refused(saved: Path, tmp_path: Path) -> None:
    tensors = safetensors.torch.load_file(saved)
    tensors["projection.bias"] = tensors["projection.bias"][:-1].clone()
    with pytest.raises(ValueError, match="does not fit this version"):
        load(rewritten(saved, tmp_path / "other.safetensors", tensors))


def test_posteriors_are_probabilities_and_features_have_their_number(acoustic: AcousticFeatures) -> None:
    assert len(acoustic) == ROWS
    assert acoustic.posteriors.shape == (ROWS, len(VISEMES))
    assert acoustic.features.shape == (ROWS, FEATURES)
    assert acoustic.speech.shape == (ROWS,)
    assert acoustic.loudness.shape == (ROWS, 2)
    np.testing.assert_allclose(acoustic.posteriors.sum(1), 1, atol=1e-5)
    assert {values.dtype for values in vars(acoustic).values()} == {np.dtype(np.float32)}


def test_windows_encoded_in_one_batch_are_those_encoded_alone(untrained: PhoneticModel) -> None:
    """A graphics card encodes several windows at once."""
    rows = normalised_mel(talk(6))
    mel = np.stack([rows[first : first + 2 * ROWS] for first in (0, 130, 300)])
    speech = np.random.default_rng(0).random((3, ROWS)).astype(np.float32)
    together = encode(untrained, mel, speech)
    assert len(together) == 3
    for window, probability, found in zip(mel, speech, together, strict=True):
        (alone,) = encode(untrained, window[None], probability[None])
        for name in vars(alone):
            assert difference(getattr(found, name), getattr(alone, name)) < 0.01
    assert difference(together[0].features, together[1].features) > 0.05


def test_a_recording_is_encoded_whole_in_half_minutes_at_most(untrained: PhoneticModel) -> None:
    wave = talk(2.5)
    acoustic = encode_recording(untrained, wave)
    assert len(acoustic) == 125
    mel = normalised_mel(wave)[:250]
    np.testing.assert_allclose(acoustic.loudness, loudness_rows(torch.from_numpy(mel.T.copy())[None])[0].numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="31 s are more than one window holds"):
        encode_recording(untrained, np.zeros(31 * RATE, np.float32))


def test_loudness_is_relative_to_the_level_and_has_its_slope_beside_it() -> None:
    """30 dB are 1."""
    mel = np.full((1, BANDS, 80), SILENCE, np.float32)
    mel[:, 40, 20:60] = LEVEL
    mel[:, 40, 40:60] = LEVEL - 3 / DECADE
    loudness, slope = loudness_rows(torch.from_numpy(mel))[0].numpy().T
    np.testing.assert_allclose(loudness[[10, 15, 19]], 0, atol=1e-4)
    np.testing.assert_allclose(loudness[[20, 25, 29]], -1, atol=1e-3)
    assert loudness[:10].max() < -2
    assert slope[[5, 15, 25]].tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert slope[20] == pytest.approx(-2, abs=1e-3)


def test_rows_of_features_can_be_cut_and_joined(acoustic: AcousticFeatures) -> None:
    joined = acoustic[:40].concatenate(acoustic[40:])
    assert (len(acoustic[:40]), len(joined)) == (40, ROWS)
    for name, values in vars(acoustic).items():
        assert np.array_equal(getattr(joined, name), values)


def test_a_row_of_the_viseme_head_depends_on_nothing_beyond_its_reach(untrained: PhoneticModel) -> None:
    stream = torch.randn(1, ROWS, STREAM, generator=torch.Generator().manual_seed(8))
    changed = stream.clone()
    changed[:, 100:, ::2] += 1
    with torch.inference_mode():
        there, here = untrained.visemes(stream)[0], untrained.visemes(changed)[0]
    torch.testing.assert_close(here[: 100 - HEAD_REACH], there[: 100 - HEAD_REACH], atol=1e-6, rtol=0)
    assert (here[100 - HEAD_REACH] - there[100 - HEAD_REACH]).abs().max() > 1e-4


def test_a_row_of_the_mapper_depends_on_nothing_beyond_its_reach(untrained: PhoneticModel, acoustic: AcousticFeatures) -> None:
    changed = acoustic.features.copy()
    changed[100:] += 1
    there, here = predict(untrained, acoustic.features).opening, predict(untrained, changed).opening
    np.testing.assert_allclose(here[: 100 - MAPPER_REACH], there[: 100 - MAPPER_REACH], atol=1e-5)
    assert abs(here[99] - there[99]) > 1e-4


def test_a_mapper_reads_its_part_of_the_features_alone(read: PhoneticModel, acoustic: AcousticFeatures) -> None:
    assert [int(mapper.first) for mapper in read.mappers] == [0, FEATURES - PART]
    changed = acoustic.features.copy()
    changed[:, : FEATURES - PART] += 1
    first, second = (read.with_(mappers=(mapper,)) for mapper in read.mappers)
    assert np.array_equal(predict(second, changed).opening, predict(second, acoustic.features).opening)
    assert np.abs(predict(first, changed).opening - predict(first, acoustic.features).opening).max() > 1e-3


def test_the_calibration_sets_the_weight_of_a_transcript(untrained: PhoneticModel, acoustic: AcousticFeatures) -> None:
    sure = np.eye(len(VISEMES), dtype=np.float32)[np.full(ROWS, viseme_index("PP"))]
    prediction = predict(untrained, acoustic.features)
    corrected = replace(acoustic, posteriors=sure)

    def opening(weight: float) -> Float32:
        calibration = Calibration(script_part=weight)
        return blend_with_transcript(untrained.with_(calibration=calibration), prediction, corrected).opening

    np.testing.assert_allclose(opening(0.0), prediction.opening, atol=1e-6)
    np.testing.assert_allclose(opening(0.5), (opening(0.0) + opening(1.0)) / 2, atol=1e-5)
    assert np.abs(opening(1.0) - prediction.opening).max() > 0.01


def test_a_transcript_mapper_gets_visemes_and_loudness(acoustic: AcousticFeatures) -> None:
    inputs = transcript_features(acoustic)
    assert inputs.shape == (ROWS, TRANSCRIPT_FEATURES)
    np.testing.assert_allclose((inputs[:, : len(VISEMES)] ** 2).sum(1), 4, atol=1e-4)
    assert np.array_equal(inputs[:, len(VISEMES) :], acoustic.loudness)


def test_the_threshold_of_shut_lips_follows_the_person() -> None:
    calibration = Calibration(shut_thresholds=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2))
    for share, threshold in zip(SHUT_SHARES, calibration.shut_thresholds, strict=True):
        assert replace(calibration, shut_share=share).shut_threshold == pytest.approx(threshold)
    between = replace(calibration, shut_share=(SHUT_SHARES[3] + SHUT_SHARES[4]) / 2)
    assert between.shut_threshold == pytest.approx(0.55)
    assert replace(calibration, shut_share=1.0).shut_threshold == pytest.approx(0.2)


@pytest.mark.parametrize("calibration", [Calibration(), None], ids=["default", "shipped"])
def test_lips_that_are_shut_more_often_are_so_at_lower_probabilities(model: PhoneticModel, calibration: Calibration | None) -> None:
    thresholds = (calibration or model.calibration).shut_thresholds
    assert len(thresholds) == len(SHUT_SHARES)
    assert (np.diff(thresholds) <= 0).all()
    assert thresholds[0] > thresholds[-1] >= 0


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
    assert weights.shipped_weights().stat().st_size < 20 * 2**20
    assert model.mappers
    assert model.transcript_mappers
    assert model.card.get("name") == "phonetic"
    assert model.card["licence"].startswith("Apache-2.0")
    assert "MIT" in model.card["licence"]  # the pretrained parts
    assert len(model.card["date"]) == len("2026-01-01")


@pytest.mark.parametrize(("probability", "silence"), [(0.0, 1.0), (SPEECH[0], 1.0), (sum(SPEECH) / 2, 0.5), (SPEECH[1], 0.0), (1.0, 0.0)])
def test_there_is_silence_as_far_as_nobody_speaks_whatever_the_viseme_head_finds(
    untrained: PhoneticModel, mel: Float32, acoustic: AcousticFeatures, probability: float, silence: float
) -> None:
    (found,) = encode(untrained, mel[None], np.full((1, ROWS), probability, np.float32))
    assert acoustic.posteriors[:, 0].max() < 0.9
    np.testing.assert_allclose(found.posteriors[:, 0], silence + (1 - silence) * acoustic.posteriors[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.posteriors[:, 1:], (1 - silence) * acoustic.posteriors[:, 1:], atol=1e-5)
    assert found.posteriors.min() >= 0
    assert np.array_equal(found.features, acoustic.features)


def test_speech_reaches_over_the_consonants_beside_it(untrained: PhoneticModel, mel: Float32) -> None:
    probability = np.zeros(ROWS, np.float32)
    probability[60:90] = 1
    (found,) = encode(untrained, mel[None], probability[None])
    assert np.flatnonzero(found.speech).tolist() == list(range(60 - REACH, 90 + REACH))
