"""No job.toml takes long to read, whatever its structure."""

import time
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heygem_daemon.core.job_options import parse_job_toml
from heygem_daemon.core.toml_limits import MAX_CHARACTERS, MAX_ESCAPES, MAX_NESTING, MAX_PARTS, MAX_STRUCTURE, too_costly

SECONDS = 1.0
"""Ten times what the slowest took on an idle machine; without limits most of these take longer, some minutes."""

HOSTILE = {
    "dotted key": "a" + ".a" * 40000 + "=1",
    "dotted key with blanks": "a" + " . a" * 20000 + "=1",
    "dotted header": "[a" + ".a" * 40000 + "]",
    "dotted keys in quotes": "a" + '."x"' * 20000 + "=1",
    "dotted key in an inline table": "a={b" + ".a" * 40000 + "=1}",
    "arrays": "a=" + "[" * 100000 + "]" * 100000,
    "tables": "a=" + "{a=" * 100000,
    "many keys": "".join(f"k{number}=1\n" for number in range(200_000)),
    "many headers": "".join(f"[k{number}.a.a.a.a.a.a]\n" for number in range(100_000)),
    "many elements": "a=[" + "1," * 300_000 + "]",
    "escapes": 'text="' + "\\n" * 260_000 + '"',
    "decimal digits": "a=" + "1" * 400_000,
    "hexadecimal digits": "first_seconds=0x" + "f" * 30_000,
    "a fraction": "quality=0." + "1" * 30_000,
    "quotes": '"' * 500_000,
    "quotes that never end": '"""' + '\\"""' * 40_000 + "\\",
    "apostrophes": "'" * 500_000,
    "lines of quotes": "'\n\"\n" * 120_000,
    "comments": "#\n" * 250_000,
    "dots": "." * 500_000,
    "a long key": '"' + "ab" * 250_000 + '"=1',
    "accents on a file name": '[faces]\n"' + "\u0315\u0300" * 200_000 + '"=1',
    "a long text": "x" * 4_000_000,
    "nested behind five quotes": 'a=["""x""""", ' + "[" * 5000,
    "dotted behind four quotes": 'a=["""x"""", 1]\nb' + ".a" * 40000 + "=1",
    "dotted behind a comment with quotes": '# "\nb' + ".a" * 40000 + '=1\n# "\n',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_text_is_refused_or_read_at_once(kind: str) -> None:
    began = time.process_time()
    options, problem = parse_job_toml(HOSTILE[kind])
    assert time.process_time() - began < SECONDS
    assert problem is not None
    assert len(problem.message) < 1000
    assert options.text is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#" * (MAX_CHARACTERS + 1), "is longer than"),
        ('a="' + "\\\\" * MAX_ESCAPES + '"', "backslashes"),
        ("\n" * (MAX_STRUCTURE + 1), "outside quotes"),
        ("a" + ".a" * MAX_PARTS + "=1", "parts with dots between"),
        ("a=" + "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), "inside each other"),
    ],
)
def test_the_reason_is_named(text: str, words: str) -> None:
    assert words in (too_costly(text) or "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#" * MAX_CHARACTERS,
        "\n" * MAX_STRUCTURE,
        "a" + ".a" * (MAX_PARTS - 1) + "=1",
        "a=" + "[" * MAX_NESTING + "]" * MAX_NESTING,
        'text = "' + "我" * 200_000 + '"',
        "text = '''" + "[.[." * 40_000 + "'''",
        'text = """' + "[.[." * 10_000 + '"""""',
        "[faces]\n" + "".join(f'"{"x" * 200}{number}.mp4" = "left"\n' for number in range(500)),
        "a = 1 ]]]]]",
    ],
)
def test_what_an_honest_drop_may_need_is_read(text: str) -> None:
    assert too_costly(text) is None


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab.\"'\\[]{}=,# \n0x", max_size=4000), st.integers(min_value=1, max_value=200))
def test_no_text_takes_long_and_none_raises(piece: str, times: int) -> None:
    text = piece * times
    began = time.process_time()
    _, problem = parse_job_toml(text)
    assert time.process_time() - began < SECONDS
    assert problem is None or len(problem.message) + len(problem.hint) < 2000


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=200), max_size=8))
def test_quoted_keys_and_values_are_never_taken_for_structure(table: dict[str, str]) -> None:
    text = "".join(f"{_quoted(key)} = {_quoted(value)}\n" for key, value in table.items())
    assert tomllib.loads(text) == table
    assert too_costly(text) is None


def _quoted(text: str) -> str:
    plain = all(char.isprintable() and char not in '"\\' for char in text)
    return f'"{text}"' if plain else '"' + "".join(f"\\U{ord(char):08x}" for char in text) + '"'
