"""The OpenAPI document of the application, flattened for a page that people read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options")
_REFERENCE: Final = "#/components/schemas/"
_JSON: Final = "application/json"

SECTIONS: Final = (
    ("session", ("health", "me", "session")),
    ("making", ("options", "drafts", "uploads", "faces")),
    ("jobs", ("jobs", "events")),
    ("system", ("system", "queue")),
)
"""The sections of the page, and the first parts of the paths that each has; routes of other paths come last."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A parameter or a key of a body or answer. place: "path", "query", "header", or "" for a key."""

    name: str
    type: str
    description: str
    required: bool
    place: str = ""


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a route takes or returns. `model`: the name of its schema, "" where it is not JSON of a model."""

    model: str
    type: str
    fields: tuple[Field, ...]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path."""

    anchor: str
    method: str
    path: str
    summary: str
    status: str
    parameters: tuple[Field, ...]
    body: Body | None
    answer: Body | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """Routes that belong together; `name` is the last part of the key of its heading."""

    name: str
    routes: tuple[Route, ...]


def sections(document: Mapping[str, Any], base: str) -> list[Section]:
    """Return the routes of an OpenAPI document below the path `base`, in sections."""
    schemas = document.get("components", {}).get("schemas", {})
    routes = [
        (path.removeprefix(base).strip("/").partition("/")[0], _route(path, method, operation, schemas))
        for path, operations in document["paths"].items()
        if path.startswith(base)
        for method, operation in _sorted_operations(operations)
    ]
    known = {first for _, firsts in SECTIONS for first in firsts}
    parts = [*SECTIONS, ("more", tuple(first for first, _ in routes if first not in known))]
    found = [Section(name=name, routes=tuple(route for first, route in routes if first in firsts)) for name, firsts in parts]
    return [section for section in found if section.routes]


def models(document: Mapping[str, Any], shown: list[Section]) -> list[tuple[str, str, tuple[Field, ...]]]:
    """Return name, description and fields of the models that only fields of other models refer to, by name."""
    schemas = document.get("components", {}).get("schemas", {})
    tops = {body.model for section in shown for route in section.routes for body in (route.body, route.answer) if body}
    wanted, queue = set(), [name for name in tops if name in schemas]
    while queue:
        for name in _references(schemas[queue.pop()]):
            if name not in wanted and name in schemas:
                wanted.add(name)
                queue.append(name)
    rest = sorted(name for name in wanted - tops if schemas[name].get("properties"))
    return [(name, schemas[name].get("description", ""), _fields(schemas[name], schemas)) for name in rest]


def without_fields(text: str) -> str:
    """Return a text with an ellipsis in place of each `{field}`."""
    return re.sub(r"\{\w+\}", "…", text)


def _sorted_operations(operations: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((method, operations[method]) for method in METHODS if method in operations)


def _route(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Route:
    status, answer = _first_success(operation.get("responses", {}))
    return Route(
        anchor=f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}",
        method=method.upper(),
        path=path,
        summary=operation.get("description") or operation.get("summary", ""),
        status=status,
        parameters=tuple(_parameter(each, schemas) for each in operation.get("parameters", [])),
        body=_body(operation.get("requestBody", {}), schemas),
        answer=_body(answer, schemas),
    )


def _first_success(responses: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return next(((status, answer) for status, answer in responses.items() if status.startswith("2")), ("", {}))


def _parameter(parameter: Mapping[str, Any], schemas: Mapping[str, Any]) -> Field:
    schema = parameter.get("schema", {})
    return Field(
        name=parameter["name"],
        type=type_words(schema),
        description=parameter.get("description") or schema.get("description", ""),
        required=parameter.get("required", False),
        place=parameter["in"],
    )


def _body(content_of: Mapping[str, Any], schemas: Mapping[str, Any]) -> Body | None:
    content = content_of.get("content", {})
    if not content:
        return None
    kind, media = next(iter(content.items()))
    schema = media.get("schema", {})
    name = _name(schema) or _name(schema.get("items", {}))
    if kind != _JSON or not schema:
        return Body(model="", type=kind, fields=()) if kind != _JSON else None
    model = schemas.get(name, {})
    return Body(model=name, type=type_words(schema), fields=_fields(model, schemas), description=model.get("description", ""))


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> tuple[Field, ...]:
    required = schema.get("required", [])
    return tuple(
        Field(name=name, type=type_words(field), description=field.get("description", ""), required=name in required)
        for name, field in schema.get("properties", {}).items()
    )


def type_words(schema: Mapping[str, Any]) -> str:
    """Return the type of a schema in a few words: `text`, `whole number or null`, `list of JobEntry` ..."""
    if name := _name(schema):
        return name
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return ", ".join(f'"{value}"' for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_words(each) for each in schema[key]))
    if len(schema.get("allOf", [])) == 1:
        return type_words(schema["allOf"][0])
    return _plain_type(schema)


def _plain_type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {type_words(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {type_words(values)}" if isinstance(values, dict) and values else "object"
    if kind == "string" and schema.get("format") in {"date-time", "binary"}:
        return {"date-time": "time", "binary": "bytes"}[schema["format"]]
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}.get(kind, "any")


def _name(schema: Mapping[str, Any]) -> str:
    reference = schema.get("$ref", "")
    return reference.removeprefix(_REFERENCE) if reference.startswith(_REFERENCE) else ""


def _references(schema: Any) -> Iterator[str]:
    """Yield the names of all schemas that a schema refers to."""
    if isinstance(schema, Mapping):
        if name := _name(schema):
            yield name
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
