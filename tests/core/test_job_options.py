import pytest

from heygem_daemon.core.job_options import KEYS, MAX_CONSENT, MAX_OWNER, MAX_TEXT, JobOptions, parse_job_toml, parse_priority


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
        "first_seconds = 5",
        'faces = { "teacher-a.mp4" = "left", "b.mov" = 1 }',
    )
    options, problem = parse_job_toml("\ufeff" + "\r\n".join((*lines, 'text = "Hello 你好"', 'language = "pt-BR"')))
    assert problem is None
    assert options == JobOptions(
        engine="rewrite", fit="video", face="2", label=True, quality=18, priority=-5, zip=False, explain=True, text="Hello 你好",
        language="pt-BR", track=2, channel="left", channels="keep", background="#00ff7f", undriven_limit=1.0,
        first_seconds=5.0, faces={"teacher-a.mp4": "left", "b.mov": "1"},
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
        ('engine = "\\u001b[31mrewrite"', "engine must be"),
        ('engine = "rewrite\\nforged: succeeded"', "engine must be"),
        ('engine = "re\\u202ewrite"', "engine must be"),
        ('engine = "' + "e" * 101 + '"', "engine must be"),
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
        ("first_seconds = 0", "first_seconds must be a number of seconds, from 0.1 to 1000000."),
        ("first_seconds = -5", "first_seconds must be"),
        ("first_seconds = inf", "first_seconds must be"),
        ("first_seconds = nan", "first_seconds must be"),
        ("first_seconds = true", "first_seconds must be"),
        ('first_seconds = "5"', "first_seconds must be"),
        ('faces = "left"', "faces must be a table of file names and faces"),
        ('faces = { "a.mp4" = "top" }', 'faces must be a table in which a.mp4 is "largest", "left"'),
        ('[faces]\n"a\\u001b.mp4" = -1', "faces must be a table in which a\\x1b.mp4 is"),
        ('owner = ""', "owner must be the name of a user in quotes, on one line of at most 200 characters."),
        ('owner = "  "', "owner must be"),
        ('owner = "a\\nb"', "owner must be"),
        ("owner = 3", "owner must be"),
        (f'owner = "{"x" * (MAX_OWNER + 1)}"', "owner must be"),
        ('reference = ""', 'reference must be at most 64 letters, digits, ".", "_" and "-" in quotes.'),
        ('reference = "a b"', "reference must be"),
        ('reference = "a/b"', "reference must be"),
        ('reference = "a\\n"', "reference must be"),
        (f'reference = "{"x" * 65}"', "reference must be"),
        ("reference = 7", "reference must be"),
        ("consent = true", "consent must be who agreed, and when, in quotes, on one line of at most 1000 characters."),
        (f'consent = "{"x" * (MAX_CONSENT + 1)}"', "consent must be"),
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


def test_the_face_of_one_video_wins_over_that_of_all() -> None:
    options = JobOptions(face="largest", faces={"teacher-a.mp4": "left"})
    assert options.for_video("teacher-a.mp4").face == "left"
    assert options.for_video("teacher-b.mp4").face == "largest"
    assert JobOptions().for_video("teacher-a.mp4") == JobOptions()


def test_a_name_with_an_accent_is_the_same_in_both_spellings() -> None:
    options = JobOptions(faces={"re\u0301sume\u0301.mp4": "right"})
    assert options.for_video("r\u00e9sum\u00e9.mp4").face == "right"
    assert options.unknown_video(["r\u00e9sum\u00e9.mp4"]) is None
    assert options.unknown_video(["resume.mp4"]) == "re\u0301sume\u0301.mp4"


def test_a_drop_may_name_who_asked_for_it_and_who_agreed() -> None:
    options, problem = parse_job_toml('owner = " DOMAIN\\\\amy/ops "\nreference = "order-7.a_B"\nconsent = "Amy (邓) agreed on 2026-11-29"')
    assert problem is None
    expected = JobOptions(owner="DOMAIN\\amy/ops", reference="order-7.a_B", consent="Amy (邓) agreed on 2026-11-29")
    assert options == expected


@pytest.mark.parametrize(
    ("mistakes", "code"),
    [('engine = 3\nfit = "x"', "bad_job_toml"), ("enginne = 1\nfit = 3", "unknown_option"), ('consent = 3\nzip = "x"', "bad_job_toml")],
)
def test_a_job_toml_with_a_mistake_still_names_its_owner(mistakes: str, code: str) -> None:
    options, problem = parse_job_toml(f'quality = 20\n{mistakes}\nowner = "amy"\nreference = "r-1"')
    assert options == JobOptions(owner="amy", reference="r-1")
    assert problem is not None
    assert problem.code == code


def test_the_first_mistake_is_named() -> None:
    _, problem = parse_job_toml("fit = 1\nenginne = 2\nface = -1")
    assert problem is not None
    assert "fit must be" in problem.message


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("-100", -100), ("+100", 100), ("007\r\n", 7), ("\ufeff 12 ", 12), ("-0", 0)])
def test_a_priority_is_a_whole_number(text: str, number: int) -> None:
    assert parse_priority(text) == number


@pytest.mark.parametrize("text", ["", " ", "101", "-101", "1.0", "1e1", "five", "٣", "- 5", "5 5", "0x1", "1_0", "9" * 5000])
def test_another_text_is_no_priority(text: str) -> None:
    assert parse_priority(text) is None
