"""The model card tells every figure, as data and as a page."""

import json
import re
from dataclasses import replace

import pytest
import torch

from heygem_daemon.lipsync.adaptation.scores import DriverMetrics
from heygem_daemon.lipsync.speech.model import LipPca, PhoneticModel
from heygem_daemon.lipsync.speech.network import FEATURES, TRANSCRIPT_FEATURES, Encoder, Mapper, SpeechDetector
from tests.lipsync.adaptation.conftest import make_clip
from training import card

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
TOLD = card.RecognitionMetrics(recognised=RECOGNISED, detected={"speech_kept": 0.98712, "music_passed": 0.0123})
JUDGEMENT = card.Judgement(clean=CLEAN, babble=BABBLE, music_motion=0.0712)
CLIPS = [replace(make_clip(str(i), person, seed=i, seconds=30), person=person) for i, person in enumerate(["a", "a", "b", "grid_s1"])]


def make(judgement, clips):
    torch.manual_seed(0)
    model = PhoneticModel(
        encoder=Encoder(),
        detector=SpeechDetector(),
        mappers=(Mapper(inputs=FEATURES),),
        transcript_mappers=(Mapper(inputs=TRANSCRIPT_FEATURES),),
        lip_pca=LipPca.none(),
    )
    return model, card.make(model, TOLD, judgement, clips, seed=17, minutes=42.0)


def rounded_metrics(value):
    """Return every number of the card."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in rounded_metrics(part)]
    return [value] if isinstance(value, (int, float)) else []


def test_the_page_shows_every_figure_of_the_card():
    _, made = make(JUDGEMENT, CLIPS)
    page = card.as_markdown(made).replace(",", "")
    shown = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", page)}
    told = rounded_metrics({name: value for name, value in made.items() if name not in {"mapper", "detector"}})
    metrics_of = rounded_metrics(
        {name: {k: v for k, v in made["mapper"][name].items() if k != "clips"} for name in ("clean", "babble 10 dB")}
    )
    assert len(told) + len(metrics_of) > 20
    assert [number for number in told + metrics_of if not any(abs(number - there) < 0.0051 for there in shown)] == []
    assert "moves the mouth 7.1% as much" in page
    assert "takes 98.7% of that speech for speech and 1.2% of" in page


@pytest.mark.parametrize(
    "figure", ["0.611", "0.622", "0.511", "0.522", "0.711", "0.722", "0.733", "0.411", "0.691", "0.381", "0.67", "7123"]
)
def test_a_figure_is_in_the_page_to_the_digit(figure):
    assert figure in card.as_markdown(make(JUDGEMENT, CLIPS)[1])


def test_the_card_says_what_it_is_and_what_made_it():
    model, made = make(JUDGEMENT, CLIPS)
    assert (made["name"], made["licence"], made["seed"]) == ("phonetic", "Apache-2.0", 17)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
    networks = (model.encoder, model.detector, *model.mappers, *model.transcript_mappers)
    assert made["parameters"] == sum(p.numel() for network in networks for p in network.parameters())
    page = card.as_markdown(made)
    assert made["date"] in page
    assert made["made_with"] in page
    assert all(source in page for source in made["sources"])


def test_footage_of_people_kept_back_is_not_counted_as_taught():
    _, made = make(JUDGEMENT, CLIPS)
    assert made["footage"] == {"clips": 3, "people": 2, "minutes": 1.5}


def test_without_footage_the_page_says_so_and_claims_nothing_of_mouths():
    _, made = make(None, [])
    assert "footage" not in made
    assert "mapper" not in made
    page = card.as_markdown(made)
    assert "No footage" in page
    assert "How well mouths are followed" not in page


def test_the_card_survives_the_metadata_of_a_file():
    _, made = make(JUDGEMENT, CLIPS)
    assert json.loads(json.dumps(made)) == made
