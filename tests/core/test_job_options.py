import pytest

from heygem_daemon.core.job_options import KEYS, MAX_TEXT, JobOptions, parse_job_toml


def test_an_absent_file_asks_for_nothing() -> None:
    assert parse_job_toml(None) == (JobOptions(), None)
    assert parse_job_toml("") == (JobOptions(), None)


def test_every_option_is_parsed() -> None:
    lines = (
        'engine = "rewrite"',
        'fit = "video"',
        "face = 2",
        "label = true",
        "quality = 18",
        "priority = -5",
        "zip = false",
        "explain = true",
        "track = 2",
        'channel = "left"',
        'channels = "keep"',
        'background = "#00FF7f"',
        "undriven_limit = 1",
    )
    options, problem = parse_job_toml("\ufeff" + "\r\n".join((*lines, 'text = "Hello 你好"', 'language = "pt-BR"')))
    assert problem is None
    assert options == JobOptions(
        engine="rewrite", fit="video", face="2", label=True, quality=18, priority=-5, zip=False, explain=True, text="Hello 你好",
        language="pt-BR", track=2, channel="left", channels="keep", background="#00ff7f", undriven_limit=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), [('"right"', "right"), ('"mix"', "mix"), ("1", "1"), ('"12"', "12")])
def test_a_channel_is_a_side_the_mix_or_a_number(value: str, expected: str) -> None:
    options, problem = parse_job_toml(f"channel = {value}")
    assert problem is None
    assert options.channel == expected


def test_the_keys_are_the_fields_of_the_options() -> None:
    assert set(KEYS) == set(JobOptions.__dataclass_fields__)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('fit = "both"', 'fit must be "audio" or "video".'),
        ("fit = 1", 'fit must be "audio" or "video".'),
        ('face = "middle"', "face must be"),
        ("face = -1", "counted from 0"),
        ("face = true", "counted from 0"),
        ("face = [1]", "counted from 0"),
        ('label = "yes"', "label must be true or false."),
        ("zip = 1", "zip must be true or false."),
        ('explain = "png"', "explain must be true or false."),
        ("quality = 52", "quality must be a whole number from 0 to 51."),
        ("quality = true", "quality must be a whole number"),
        ("quality = 18.0", "quality must be a whole number"),
        ("priority = -101", "priority must be a whole number from -100 to 100."),
        ('engine = ""', "engine must be the name of an engine in quotes."),
        ("engine = 3", "engine must be"),
        ("track = 0", "track must be the number of an audio track, counted from 1."),
        ("track = true", "track must be"),
        ('track = "2"', "track must be"),
        ("channel = 0", 'channel must be "left", "right", "mix" or the number of a channel, counted from 1.'),
        ("channel = true", "channel must be"),
        ("channel = 1.5", "channel must be"),
        ('channel = "both"', "channel must be"),
        ('channel = ["left"]', "channel must be"),
        ("channels = 2", 'channels must be "stereo" or "keep".'),
        ('background = "green"', 'background must be a colour in quotes, e.g. "#00ff00".'),
        ('background = "#fff"', "background must be"),
        ('background = "#00ff00\\n"', "background must be"),
        ("background = 0", "background must be"),
        ("undriven_limit = 1.5", "undriven_limit must be a number from 0 to 1."),
        ("undriven_limit = nan", "undriven_limit must be"),
        ("undriven_limit = true", "undriven_limit must be"),
        ("text = 3", "text must be the spoken words in quotes"),
        ("language = 7", "language must be the code of a language in quotes"),
        ('language = "../mb"', "language must be"),
        (f'text = "{"x" * (MAX_TEXT + 1)}"', "text must be"),
        ("fit = audio", "line 1"),
        ("fit = ", "at end of document"),
        ("a = " + "[" * 5000, ""),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(line: str, expected: str) -> None:
    options, problem = parse_job_toml(line)
    assert options == JobOptions()
    assert problem is not None
    assert problem.code == "bad_job_toml"
    assert expected in problem.message


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('enginne = "x"', 'Did you mean "engine"?'),
        ("Quality = 3", 'Did you mean "quality"?'),
        ("[options]\nfit = 3", "The keys are engine, "),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(line: str, hint: str) -> None:
    _, problem = parse_job_toml(line)
    assert problem is not None
    assert problem.code == "unknown_option"
    assert problem.hint.startswith(hint)


def test_a_key_is_shown_safely() -> None:
    _, problem = parse_job_toml('"a\\u001b[31m" = 1')
    assert problem is not None
    assert "\x1b" not in problem.message
