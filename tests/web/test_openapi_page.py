"""The page that documents the HTTP interface is made from the OpenAPI document, all of it."""

from typing import Any

import pytest
from fastapi import FastAPI

from heygem_daemon.web.openapi_page import METHODS, Section, models, sections, type_words, without_fields

BASE = "/api/v1"


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture
def shown(document: dict[str, Any]) -> list[Section]:
    return sections(document, BASE)


def test_every_route_is_shown_once_and_says_what_it_does(document: dict[str, Any], shown: list[Section]) -> None:
    wanted = {(path, method.upper()) for path, operations in document["paths"].items() for method in operations if method in METHODS}
    routes = [route for section in shown for route in section.routes]
    assert {(route.path, route.method) for route in routes} == wanted
    assert len({route.anchor for route in routes}) == len(routes) == len(wanted)
    assert [route.path for route in routes if not route.summary or not route.status] == []


def test_no_route_is_left_without_a_section_of_its_own(shown: list[Section]) -> None:
    assert [section.name for section in shown] == ["session", "making", "jobs", "system"]


def test_a_body_shows_its_fields_with_type_and_meaning(shown: list[Section]) -> None:
    route = next(route for section in shown for route in section.routes if (route.method, route.path) == ("POST", "/api/v1/jobs"))
    assert route.body
    assert route.body.model == "NewJob"
    assert route.body.description.startswith("A job from an uploaded draft")
    fields = {field.name: field for field in route.body.fields}
    assert fields["name"].required
    assert (fields["draft"].type, fields["videos"].type) == ("text or null", "list of text")
    assert route.answer
    assert route.answer.model == "JobCreated"
    assert route.status == "201"


def test_parameters_say_where_they_belong(shown: list[Section]) -> None:
    route = next(route for section in shown for route in section.routes if (route.method, route.path) == ("GET", "/api/v1/jobs"))
    assert {field.place for field in route.parameters} == {"query"}
    assert "cursor" in {field.name for field in route.parameters}


def test_models_inside_other_models_are_explained_too(document: dict[str, Any], shown: list[Section]) -> None:
    explained = {name: fields for name, _, fields in models(document, shown)}
    assert {"JobChoices", "Verdict", "Face", "JobStatus"} <= explained.keys()
    assert all(explained.values())


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "date-time"}, "time"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "whole number or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/JobEntry"}}, "list of JobEntry"),
        ({"enum": ["audio", "video"], "type": "string"}, '"audio", "video"'),
        ({"const": "ok", "type": "string"}, '"ok"'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of whole number"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({}, "any"),
    ],
)
def test_types_are_words(schema: dict[str, Any], words: str) -> None:
    assert type_words(schema) == words


def test_a_sentence_without_its_fields_has_an_ellipsis() -> None:
    assert without_fields('The name "{name}" is taken.') == 'The name "…" is taken.'
