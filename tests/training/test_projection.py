"""The features of the mappers are what varies most in the streams of the encoder's models, each by itself, whatever their scale."""

import numpy as np
import pytest
import torch
from torch import nn

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.speech.network import FEATURES, PART
from heygem_daemon.lipsync.speech.whisper import BASE_STREAM, STREAM
from training.features import Rows
from training.projection import fit_projection

ROWS, CAUSES = 600, 250
"""More causes than features: some of them have to be left out."""
PARTS = [
    pytest.param(slice(0, BASE_STREAM), slice(0, PART), id="base"),
    pytest.param(slice(BASE_STREAM, STREAM), slice(PART, FEATURES), id="tiny"),
]
"""The stream of each model of the encoder, and the features that are made of it."""
STRONGEST = [*range(20), *range(PART, PART + 20)]
"""Features that are well apart from the next."""


def mixture() -> tuple[Float32, Float32]:
    """Return (stream [ROWS, STREAM], causes [ROWS, CAUSES]): every value of the stream is a mixture of causes, the first the strongest."""
    rng = np.random.default_rng(1)
    causes = rng.normal(0, 1, (ROWS, CAUSES)) * np.geomspace(1, 0.05, CAUSES)
    stream = causes @ rng.normal(0, 1, (CAUSES, STREAM)) + rng.normal(0, 3, STREAM)
    return stream.astype(np.float32), causes.astype(np.float32)


def rows(stream: Float32) -> Rows:
    return Rows(stream=stream.astype(np.float16), labels=np.zeros(2 * len(stream), np.int8))


def features_of(projection: nn.Linear, stream: Float32) -> Float32:
    return np.asarray(projection(torch.from_numpy(stream.astype(np.float16).astype(np.float32))).numpy(), np.float32)


def standardised(stream: Float32) -> Float32:
    return np.asarray((stream - stream.mean(0)) / stream.std(0), np.float32)


@pytest.fixture(scope="module")
def stream() -> Float32:
    return mixture()[0]


@pytest.fixture(scope="module")
def projection(stream: Float32) -> nn.Linear:
    return fit_projection([rows(stream)])


@pytest.fixture(scope="module")
def features(projection: nn.Linear, stream: Float32) -> Float32:
    return features_of(projection, stream)


def test_the_features_of_both_models_lie_side_by_side(features: Float32) -> None:
    assert features.shape == (ROWS, FEATURES) == (ROWS, 2 * PART)
    assert np.abs(features.mean(0)).max() < 0.01


@pytest.mark.parametrize(("values", "part"), PARTS)
def test_the_features_of_a_model_are_of_its_stream_alone(
    values: slice, part: slice, projection: nn.Linear, features: Float32, stream: Float32
) -> None:
    weight = projection.weight.numpy().copy()
    assert weight[part, values].any(1).all()
    weight[part, values] = 0
    assert not weight[part].any()
    other = stream.copy()
    other[:, values] = np.random.default_rng(2).normal(0, 5, other[:, values].shape)
    changed = features_of(fit_projection([rows(other)]), other)
    rest = np.setdiff1d(np.arange(FEATURES), np.arange(FEATURES)[part])
    np.testing.assert_allclose(np.abs(changed[:, rest]), np.abs(features[:, rest]), atol=2e-3)
    assert np.abs(np.abs(changed[:, part]) - np.abs(features[:, part])).max() > 0.1


@pytest.mark.parametrize("part", [slice(0, PART), slice(PART, FEATURES)], ids=["base", "tiny"])
def test_features_of_a_model_do_not_repeat_each_other(part: slice, features: Float32) -> None:
    correlations = np.corrcoef(features[:, part].T) - np.eye(PART)
    assert np.abs(correlations).max() < 0.02


@pytest.mark.parametrize(("values", "part"), PARTS)
def test_features_have_the_size_a_mapper_is_made_for_and_the_first_vary_most(
    values: slice, part: slice, features: Float32, stream: Float32
) -> None:
    """Half whitened: a component that varies a hundred times as much as another becomes a feature that varies ten times as much."""
    deviations = features[:, part].std(0)
    assert np.sqrt((deviations**2).mean()) == pytest.approx(0.5, abs=0.01)
    assert np.all(np.diff(deviations) < 1e-3)
    components = np.linalg.svd(standardised(stream[:, values]), compute_uv=False)[:PART] / np.sqrt(ROWS)
    assert deviations / deviations[0] == pytest.approx(np.sqrt(components / components[0]), rel=0.02)


@pytest.mark.parametrize(("values", "part"), PARTS)
def test_what_is_left_out_is_the_least_of_the_stream(values: slice, part: slice, features: Float32, stream: Float32) -> None:
    standard = standardised(stream[:, values])
    found, *_ = np.linalg.lstsq(features[:, part], standard, rcond=None)
    left = ((standard - features[:, part] @ found) ** 2).sum()
    least = (np.linalg.svd(standard, compute_uv=False)[PART:] ** 2).sum()
    assert least < left < 1.01 * least


def test_a_value_on_a_larger_scale_counts_no_more_than_the_others(projection: nn.Linear, features: Float32, stream: Float32) -> None:
    scaled = stream.copy()
    scaled[:, ::256] *= 256
    other = features_of(fit_projection([rows(scaled)]), scaled)
    agreement = [abs(np.corrcoef(features[:, i], other[:, i])[0, 1]) for i in STRONGEST]
    assert min(agreement) > 0.99


def test_the_projection_is_of_all_rows_however_they_are_cut(projection: nn.Linear, stream: Float32) -> None:
    parts = fit_projection([rows(stream[:50]), rows(stream[50:350]), rows(stream[350:])])
    whole = (projection.weight, projection.bias)
    for there, here in zip(whole, (parts.weight, parts.bias), strict=True):
        np.testing.assert_allclose(np.abs(here.numpy()[STRONGEST]), np.abs(there.numpy()[STRONGEST]), atol=2e-3)


def test_the_projection_is_finished(projection: nn.Linear) -> None:
    """It is not trained together with the mappers."""
    assert not projection.training
    assert not any(parameter.requires_grad for parameter in projection.parameters())


def test_a_value_that_never_changes_is_no_feature(stream: Float32) -> None:
    constant = stream.copy()
    constant[:, 7] = 3
    made = fit_projection([rows(constant)])
    assert torch.isfinite(made.weight).all()
    assert made.weight[:, 7].abs().max() < 1e-3 * made.weight.abs().max()
