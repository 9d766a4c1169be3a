"""The model card gives every metric, as data and as a page."""

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import nn

from heygem_daemon.lipsync.adaptation.clips import AvClip
from heygem_daemon.lipsync.adaptation.scores import DriverMetrics
from heygem_daemon.lipsync.speech.model import LipPca, PhoneticModel
from heygem_daemon.lipsync.speech.network import FEATURES, PART, TRANSCRIPT_FEATURES, Mapper, VisemeHead
from heygem_daemon.lipsync.speech.voice_activity import VoiceActivity
from heygem_daemon.lipsync.speech.whisper import STREAM, SpeechEncoder
from tests.lipsync.adaptation.conftest import make_clip
from training import card
from training.pretrained import SILERO, WHISPER_BASE, WHISPER_TINY

RECOGNISED = {
    "unseen voices": {"frames": 7123, "accuracy": 0.6111, "in_speech": 0.6222, "bilabial_recall": 0.63, "bilabial_precision": 0.64},
    "unseen languages": {"frames": 7456, "accuracy": 0.5111, "in_speech": 0.5222, "bilabial_recall": 0.53, "bilabial_precision": 0.54},
}
CLEAN = DriverMetrics(
    opening_r=0.7111,
    opening_r_mean=0.7222,
    opening_r_median=0.7333,
    width_r=0.4111,
    amplitude=0.93,
    closures_hit=0.67,
    closures_false=0.08,
    clips=31,
)
BABBLE = replace(CLEAN, opening_r=0.6911, opening_r_mean=0.6922, opening_r_median=0.6933, width_r=0.3811)
EVALUATION = card.Evaluation(clean=CLEAN, babble=BABBLE, shut_share=(0.2134, 0.2468))
CLIPS = [replace(make_clip(str(i), person, seed=i, seconds=30), person=person) for i, person in enumerate(["a", "a", "b", "grid_s1"])]


@lru_cache(maxsize=1)
def untrained() -> PhoneticModel:
    torch.manual_seed(0)
    return PhoneticModel(
        encoder=SpeechEncoder(),
        activity=VoiceActivity(),
        projection=nn.Linear(STREAM, FEATURES),
        visemes=VisemeHead(),
        mappers=(Mapper(inputs=PART),),
        transcript_mappers=(Mapper(inputs=TRANSCRIPT_FEATURES),),
        lip_pca=LipPca.none(),
    )


def make(evaluation: card.Evaluation | None, clips: list[AvClip]) -> tuple[PhoneticModel, dict[str, Any]]:
    return untrained(), card.make(untrained(), RECOGNISED, evaluation, clips, seed=17, minutes=42.0)


def numbers_of(value: object) -> list[float]:
    """Return every number of the card."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_of(part)]
    return [value] if isinstance(value, (int, float)) else []


def test_the_page_shows_every_metric_of_the_card() -> None:
    _, made = make(EVALUATION, CLIPS)
    page = card.as_markdown(made).replace(",", "")
    shown = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", page)}
    recognised = numbers_of({name: value for name, value in made.items() if name != "mapper"})
    followed = numbers_of({name: {k: v for k, v in made["mapper"][name].items() if k != "clips"} for name in ("clean", "babble 10 dB")})
    assert len(recognised) + len(followed) > 20
    assert [number for number in recognised + followed if not any(abs(number - there) < 0.0051 for there in shown)] == []
    assert "shut in 21.3% of the time in the mean of people, and in 24.7% as predicted" in card.as_markdown(made)


@pytest.mark.parametrize(
    "number", ["0.611", "0.622", "0.511", "0.522", "0.711", "0.722", "0.733", "0.411", "0.691", "0.381", "0.67", "7123"]
)
def test_a_number_is_in_the_page_to_the_digit(number: str) -> None:
    assert number in card.as_markdown(make(EVALUATION, CLIPS)[1])


def test_the_card_says_what_it_is_and_what_made_it() -> None:
    model, made = make(EVALUATION, CLIPS)
    assert (made["name"], made["licence"], made["seed"]) == ("phonetic", "Apache-2.0; encoder and speech detector MIT", 17)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
    networks = (model.encoder, model.activity, model.projection, model.visemes, *model.mappers, *model.transcript_mappers)
    assert made["parameters"] == sum(p.numel() for network in networks for p in network.parameters())
    page = card.as_markdown(made)
    assert made["date"] in page
    assert made["made_with"] in page
    assert all(source in page for source in made["sources"])


def test_the_pretrained_networks_are_named_with_their_makers_licences_and_files() -> None:
    page = card.as_markdown(make(None, [])[1])
    for name in ("Whisper base", "Whisper tiny.en", "Silero VAD"):
        assert name in page
    assert {WHISPER_BASE.sha256, WHISPER_TINY.sha256, SILERO.sha256} <= set(re.findall(r"[0-9a-f]{64}", page))
    assert all("MIT" in line for line in page.splitlines() if "sha256" in line)
    assert "Copyright (c) 2022 OpenAI" in page  # the licence asks that this and its text go wherever the weights go
    assert "Permission is hereby granted, free of charge" in page


def test_footage_of_people_held_out_is_not_counted_as_trained_on() -> None:
    _, made = make(EVALUATION, CLIPS)
    assert made["footage"] == {"clips": 3, "people": 2, "minutes": 1.5}


def test_without_footage_the_page_says_so_and_claims_nothing_of_mouths() -> None:
    _, made = make(None, [])
    assert "footage" not in made
    assert "mapper" not in made
    page = card.as_markdown(made)
    assert "No footage: the mappers are those of the weights that were in use" in page
    assert "How well mouths are followed" not in page


def test_the_card_survives_the_metadata_of_a_file() -> None:
    _, made = make(EVALUATION, CLIPS)
    assert json.loads(json.dumps(made)) == made
