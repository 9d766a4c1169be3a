"""The words of subtitles are taken without what is not spoken."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.lipsync.speech.transcript.subtitles import spoken_words

WORDS = "Good morning & welcome.\nToday we learn to bake bread.\nIt takes 3 hours."

FORMS = {
    "SubRip": """1
00:00:00,000 --> 00:00:02,500
<i>Good morning</i> &amp; welcome.

2
00:00:02,500 --> 00:00:05,000
{\\an8}Today we learn
to bake bread.

3
00:00:05,000 --> 00:00:07,000
- It takes 3 hours.
""",
    "SubRip without blank lines": """1
00:00:00,000 --> 00:00:02,500
Good morning & welcome.
2
00:00:02,500 --> 00:00:05,000
Today we learn to bake bread.
3
00:00:05,000 --> 00:00:07,000
It takes 3 hours.""",
    "WebVTT": """WEBVTT - lesson
Kind: captions
Language: en

STYLE
::cue { color: red }

NOTE Not spoken.

first
00:00.000 --> 00:02.500 align:start position:0%
<v Anna Maria>Good <c.yellow>morning</c> &amp; welcome.

00:02.500 --> 00:05.000
Today <00:00:03.000><c>we learn</c> to bake bread.

00:05.000 --> 00:07.000
[music] It takes 3 hours. ♪
""",
    "captions that roll up": """WEBVTT

00:00:00.000 --> 00:00:02.500
Good morning & welcome.

00:00:02.500 --> 00:00:02.510
Good morning & welcome.
\x20

00:00:02.510 --> 00:00:05.000
Good morning & welcome.
Today we learn to bake bread.

00:00:05.000 --> 00:00:07.000
Today we learn to bake bread.
It takes 3 hours.
""",
    "SBV": """0:00:00.000,0:00:02.500
Good morning & welcome.

0:00:02.500,0:00:05.000
Today we learn to bake bread.

0:00:05.000,0:00:07.000
>> It takes 3 hours.
""",
    "SubStation Alpha": """[Script Info]
Title: A title, not spoken

[V4+ Styles]
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:02.50,Default,,0,0,0,,Not spoken either
Dialogue: 0,0:00:00.00,0:00:02.50,Default,Anna,0,0,0,,{\\b1}Good morning{\\b0} & welcome.
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
Dialogue: 0,0:00:02.50,0:00:05.00,Default,,0,0,0,,Today we learn\\Nto bake bread.
Dialogue: 0,0:00:05.00,0:00:07.00,Default,,0,0,0,,It takes 3 hours.
""",
    "LRC": """[ti:A title]
[length: 00:07]
[00:00.00]Good morning & welcome.
[00:02.50][00:03.10] Today <00:03.20>we learn to bake bread.
[00:05.00]It takes 3 hours.""",
    "a transcript with times": "(0:00) Good morning & welcome.\n\n(0:02) Today we learn to bake bread.\n(0:05) It takes 3 hours.",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_words_are_the_same_in_every_form(form: str, line_end: str) -> None:
    assert spoken_words(FORMS[form].replace("\n", line_end)).split() == WORDS.split()


def test_words_in_other_writings_survive() -> None:
    assert spoken_words("1\n00:00:00,000 --> 00:00:02,000\n今天我们学习做面包。\n") == "今天我们学习做面包。"


@pytest.mark.parametrize(
    "text", [WORDS, "1\n2\n3", "We meet at 10:30.\n- first\n- second", "a < b & c > d [sic] {x}", "[Events] are listed here", ""]
)
def test_a_text_that_is_no_subtitles_stays_as_it_is(text: str) -> None:
    assert spoken_words(text) == text


CUE = "00:00:00,000 --> 00:00:02,000\n"


@pytest.mark.parametrize("sign", ["<", "{", "{\\", "[", "&", "-", "<a", "{\\p", "[00:00", "00:00,0", " ", "&#"])
def test_the_time_does_not_explode(sign: str) -> None:
    megabyte = sign * (2**20 // len(sign))
    began = time.process_time()
    for text in (CUE + megabyte, f"[00:00.00]{megabyte}", f"[Events]\nDialogue: 0,0,0,0,0,0,0,0,0,{megabyte}", megabyte):
        spoken_words(text)
    assert time.process_time() - began < 10


@given(st.text(st.sampled_from("<>{}[]\\pN&;-01:,.> \n\ra♪"), max_size=60))
def test_no_cue_makes_it_fail(text: str) -> None:
    assert "-->" not in spoken_words(f"{CUE}{text}\n\n{CUE}end").splitlines()[-1]
    assert spoken_words(f"{CUE}{text}\n\n{CUE}end").endswith("end")
