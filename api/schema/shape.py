"""JSON Schemas as text for people: what a body looks like, one member a line. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_DEEPEST: Final = 6
_INDENT: Final = "  "


def shape(schema: Schema, components: Mapping[str, Schema], *, depth: int = 0) -> str:
    """`{"a": integer or null, …}`; `components` are what `$ref`s name."""
    schema = _resolved(schema, components)
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return " or ".join(json.dumps(one, ensure_ascii=False) for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(shape(one, components, depth=depth) for one in schema["anyOf"])
    kind = schema.get("type", "any")
    if depth >= _DEEPEST:
        return "…"
    if kind == "array":
        return f"[{shape(schema.get('items', {}), components, depth=depth)}, …]"
    if kind == "object" and schema.get("properties"):
        return _members(schema, components, depth)
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"{{name: {shape(schema['additionalProperties'], components, depth=depth)}, …}}"
    return str(schema.get("format", kind))


def example(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """A value to begin with when somebody writes such a body: each member with its default, or empty."""
    schema = _resolved(schema, components)
    if "default" in schema:
        return schema["default"]
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], components)
    if schema.get("type") == "object":
        return {name: example(one, components) for name, one in schema.get("properties", {}).items()}
    return {"array": [], "string": "", "boolean": False, "integer": 0, "number": 0}.get(schema.get("type", ""))


def limits(schema: Schema) -> str:
    """What a parameter may be, in a few words."""
    if "anyOf" in schema:
        return " or ".join(limits(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(str(one) for one in schema["enum"] if one != "")
    low, high = schema.get("minimum"), schema.get("maximum")
    words = str(schema.get("format", schema.get("type", "any")))
    if low is not None and high is not None and high < 2**53:
        return f"{words} from {low:g} to {high:g}"
    return f"{words} from {low:g}" if low is not None else words


def _resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    return components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _members(schema: Schema, components: Mapping[str, Schema], depth: int) -> str:
    margin = _INDENT * (depth + 1)
    lines = [
        f"{margin}{json.dumps(name)}: {shape(one, components, depth=depth + 1)}"
        for name, one in schema["properties"].items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{_INDENT * depth}}}"
