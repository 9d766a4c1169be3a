"""The screens: all of them render in every language, with no script, style or address that the page's own rules forbid."""

import re
from pathlib import Path
from string import Formatter
from typing import Final

import httpx
import pytest

from heygem_daemon.web.pages import SERVER_ONLY, modules, script_texts
from heygem_daemon.web.problems import PROBLEMS
from heygem_daemon.web.words import LANGUAGES, LOCALES, catalog
from tests.web.front_end import STATIC, TEMPLATES, WEB, Screen, imports, read, sources, used_keys

SCREENS: Final = ("/", "/queue", "/jobs/20261129-101500-lesson-aaaaaa", "/history", "/system", "/api")
LANGUAGE_TAGS: Final = {"en": "en", "zh": "zh-CN"}
SCRIPTS: Final = sources(STATIC, ".js")
FORBIDDEN_IN_SCRIPTS: Final = (
    r"(?:inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|ContextualFragment|srcdoc|javascript:"
)
OUTSIDE: Final = re.compile(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"'`)*]*")
NAMESPACE: Final = "http://www.w3.org/2000/svg"
HAN: Final = re.compile(r"[\u4e00-\u9fff]")
SAME_IN_CHINESE: Final = re.compile(
    r"[\W\d_]*(?:\{\w+\}|heygem|wav2lip|atlas|Cookie|GPU|CPU|ZIP|ms|dB|B|KB|MB|GB|fps|[×·/%+:：. -])*[\W\d_]*"
)
ENGLISH_SENTENCE: Final = re.compile(r"[A-Za-z]{2,}(?: [a-z]{2,}){3,}")
WESTERN_PUNCTUATION: Final = re.compile(r"[\u4e00-\u9fff][,;:!?]|[\u4e00-\u9fff]\.(?:$|\s)|\.\.\.")
COMMAND: Final = re.compile(r"heygem(?: [a-zA-Z]+)+")
ORDINAL: Final = "th"
"""The field of the letters after a number (2nd), which Chinese does not have."""
OTHER_TESTS: Final = ("error.", "warning.")
"""Keys of codes, whose completeness test_translations.py checks."""


def _screen(client: httpx.Client, path: str, language: str) -> Screen:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    return read(answer.text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_screen_renders_with_all_its_texts_in_the_language_of_the_browser(client: httpx.Client, language: str) -> None:
    keys = re.compile("|".join(re.escape(key) for key in catalog("en")))
    for path in SCREENS:
        screen = _screen(client, path, language)
        html = next(element for element in screen.elements if element.tag == "html")
        assert html.attributes["lang"] == LANGUAGE_TAGS[language]
        assert catalog(language)["nav.history"] in screen.texts
        assert [text for text in screen.texts if keys.fullmatch(text)] == [], path


def test_the_language_that_was_chosen_wins_over_that_of_the_browser(client: httpx.Client) -> None:
    client.cookies.set("lang", "zh")
    assert catalog("zh")["new.title"] in _screen(client, "/", "en").texts


def test_no_screen_has_a_script_or_style_of_its_own_or_an_address_outside(client: httpx.Client) -> None:
    for path in SCREENS:
        for element in _screen(client, path, "en").elements:
            attributes = element.attributes
            assert element.tag != "style", path
            assert element.tag != "script" or "src" in attributes or attributes.get("type") == "application/json", path
            assert [name for name in attributes if name == "style" or name.startswith("on")] == [], (path, element)
            addresses = [attributes[name] or "" for name in ("src", "href", "action", "poster", "data") if name in attributes]
            assert all(re.match(r"/(?!/)|#", address) for address in addresses), (path, element)


def test_every_static_file_that_a_screen_names_is_there(client: httpx.Client) -> None:
    for path in SCREENS:
        for element in _screen(client, path, "en").elements:
            for address in (element.attributes.get("src"), element.attributes.get("href")):
                if address and address.startswith("/static/"):
                    file, _, part = address.removeprefix("/static/").partition("#")
                    assert (STATIC / file).is_file(), address
                    assert not part or f'id="{part}"' in (STATIC / file).read_text(encoding="utf-8"), address


def test_no_id_is_used_twice_on_a_screen_and_every_label_has_its_control(client: httpx.Client) -> None:
    for path in SCREENS:
        screen = _screen(client, path, "en")
        ids = [str(element.attributes["id"]) for element in screen.elements if "id" in element.attributes]
        assert sorted(ids) == sorted(set(ids)), path
        references = [
            reference
            for element in screen.elements
            for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls")
            for reference in (element.attributes.get(name) or "").split()
        ]
        assert set(references) <= set(ids), path


def test_without_users_there_is_nothing_to_log_in_to(client: httpx.Client) -> None:
    answer = client.get("/login")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_scripts_get_the_texts_that_they_show_and_not_those_of_the_server_alone() -> None:
    texts = script_texts("en")
    assert "new.start" in texts
    assert not any(key.startswith(SERVER_ONLY) for key in texts)


@pytest.mark.parametrize("file", [*SCRIPTS, *sources(TEMPLATES, ".html")], ids=lambda path: str(path.relative_to(WEB)))
def test_no_file_writes_markup_from_data_or_names_another_server(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.findall(FORBIDDEN_IN_SCRIPTS, text) == []
    code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert [address for address in OUTSIDE.findall(code) if address != NAMESPACE] == []
    assert re.findall(r"\|\s*safe\b", text) == []


@pytest.mark.parametrize("file", sources(STATIC, ".css"), ids=lambda path: path.name)
def test_no_style_sheet_loads_anything(file: Path) -> None:
    assert re.findall(r"@import|url\(", file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_only_what_is_there(file: Path) -> None:
    for module, name in imports(file):
        assert module.is_file(), module
        exported = rf"export (?:async )?(?:function|const|let|class) {name}\b"
        assert re.search(exported, module.read_text(encoding="utf-8")), f"{module.name} exports no {name}"


def test_every_element_that_a_script_looks_for_is_in_a_template_or_made_by_a_script() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (*sources(TEMPLATES, ".html"), *SCRIPTS)]
    whole = "\n".join(texts)
    made = set(re.findall(r"""\bid(?:=|: ?)"([\w-]+)\"""", whole))
    inserted = [re.sub(r"\\{\\{.*?\\}\\}", r"[\\w-]+", re.escape(name)) for name in re.findall(r'\bid="([^"]*\{\{[^"]*)"', whole)]
    wanted = {name for text in texts for name in re.findall(r"""(?:byId|getElementById)\("([\w-]+)"\)""", text)}
    assert {name for name in wanted - made if not any(re.fullmatch(part, name) for part in inserted)} == set()


# -- texts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [*sources(TEMPLATES, ".html", ".sh"), *SCRIPTS], ids=lambda path: str(path.relative_to(WEB)))
def test_every_text_that_a_file_uses_is_in_every_catalog(file: Path) -> None:
    used = used_keys(file.read_text(encoding="utf-8"))
    for language in LANGUAGES:
        texts = catalog(language)
        missing = {key for key in used.whole if key not in texts and not ({f"{key}.one", f"{key}.other"} <= texts.keys())}
        assert missing == set(), language
        assert [part for part in used.patterns if not any(re.match(part, key) for key in texts)] == [], language


def test_no_text_is_left_over() -> None:
    files = (*sources(TEMPLATES, ".html", ".sh"), *SCRIPTS, *sources(WEB, ".py"))
    used = [used_keys(path.read_text(encoding="utf-8"), is_python=path.suffix == ".py") for path in files]
    keys = [key for key in catalog("en") if not key.startswith((*OTHER_TESTS, "problem."))]
    assert [key for key in keys if not any(each.use(key) for each in used)] == []


def test_the_catalogs_have_the_same_keys_and_each_once() -> None:
    for language in LANGUAGES:
        texts = [path.read_text(encoding="utf-8") for path in (LOCALES / language).glob("*.json")]
        keys = [key for text in texts for key in re.findall(r'^\s*"([^"]+)":', text, flags=re.MULTILINE)]
        assert sorted(keys) == sorted(set(keys))
    shared = [{key for key in catalog(language) if not key.startswith(OTHER_TESTS)} for language in LANGUAGES]
    assert shared[0] == shared[1]


def test_a_text_has_the_same_fields_in_every_language() -> None:
    def fields(key: str, text: str) -> set[str]:
        found = {name for _, name, _, _ in Formatter().parse(text) if name}
        return found - ({"n", ORDINAL} if key.endswith(".one") else {ORDINAL})

    english, chinese = catalog("en"), catalog("zh")
    assert [key for key in english if key in chinese and fields(key, english[key]) != fields(key, chinese[key])] == []


def test_every_problem_has_a_sentence_and_a_hint_in_every_language() -> None:
    for language in LANGUAGES:
        wanted = {f"problem.{code}{part}" for code in PROBLEMS for part in ("", ".hint")}
        assert {key for key in catalog(language) if key.startswith("problem.")} == wanted


def test_chinese_texts_are_chinese() -> None:
    texts = {key: COMMAND.sub("heygem", text) for key, text in catalog("zh").items() if not key.startswith(OTHER_TESTS)}
    assert {key: text for key, text in texts.items() if not HAN.search(text) and not SAME_IN_CHINESE.fullmatch(text)} == {}
    assert {key: text for key, text in texts.items() if ENGLISH_SENTENCE.search(text)} == {}
    assert {key: text for key, text in texts.items() if WESTERN_PUNCTUATION.search(text)} == {}


@pytest.mark.parametrize("screen", ["new", "queue", "job", "history", "system", "login"])
def test_a_screen_names_every_module_that_it_needs(screen: str) -> None:
    """Else a browser finds them one behind the other."""
    named = set(modules(screen))
    assert {f"{screen}.js", "frame.js", "live.js"} <= named
    for name in named:
        text = (STATIC / "js" / name).read_text(encoding="utf-8")
        assert set(re.findall(r'(?:from|^import)\s+"\./([^"]+)"', text, re.MULTILINE)) <= named


def test_an_unknown_address_gets_a_page_in_a_browser_and_json_elsewhere(client: httpx.Client) -> None:
    found = client.get("/nowhere", headers={"Accept": "text/html", "Accept-Language": "zh"})
    assert (found.status_code, "没有这个页面" in found.text) == (404, True)
    assert client.get("/nowhere").json()["code"] == "not_found"
    assert client.get("/api/v1/nowhere", headers={"Accept": "text/html"}).json()["code"] == "not_found"


def test_a_screen_answers_those_who_only_ask_whether_it_is_there(client: httpx.Client) -> None:
    assert (client.head("/").status_code, client.head("/").text) == (200, "")
