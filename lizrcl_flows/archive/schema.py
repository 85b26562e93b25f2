"""What MongoDB itself enforces: a $jsonSchema validator for each collection, made from the document models."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from lizrcl_flows.documents import DOCUMENTS, Event, LineageNode, canonical_sha256

Schema = dict[str, Any]

_TYPES: dict[str, Any] = {
    "string": "string",
    "boolean": "bool",
    "integer": ["int", "long"],
    "number": "double",
    "null": "null",
    "array": "array",
    "object": "object",
}
_KEPT = ("enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "required")
_EXCLUSIVE = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}

MODELS: dict[str, type[BaseModel]] = {
    **{kind.collection: kind for kind in DOCUMENTS},
    "lineage": LineageNode,
    "events": Event,
}
"""Collections that have a validator, with the model it comes from."""


def validators() -> dict[str, Schema]:
    """Return the validator of every collection that has one."""
    return {name: {"$jsonSchema": mongo_schema(model)} for name, model in MODELS.items()}


@cache
def schema_sha256() -> str:
    """Return a digest of all validators, by which a change of the models is noticed."""
    return canonical_sha256(validators())


def mongo_schema(model: type[BaseModel]) -> Schema:
    """Return the JSON schema of a stored model in MongoDB's dialect (draft 4 with `bsonType`).

    Every field is required, because `to_record` writes every field; units stand in the descriptions.
    """
    exported = model.model_json_schema(by_alias=True, mode="serialization")
    schema = _converted(exported, exported.get("$defs", {}))
    schema["required"] = sorted(schema["properties"])
    return schema


def _converted(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return _converted({**definitions[name], **siblings}, definitions)
    schema: Schema = {key: node[key] for key in _KEPT if key in node}
    if "const" in node:
        schema["enum"] = [node["const"]]
    for theirs, ours in _EXCLUSIVE.items():
        if theirs in node:
            schema |= {ours: node[theirs], theirs: True}
    if "type" in node:
        schema["bsonType"] = _bson_type(node)
    if "anyOf" in node:
        schema["anyOf"] = [_converted(choice, definitions) for choice in node["anyOf"]]
    schema |= _inner(node, definitions)
    description = _description(node)
    return {**schema, "description": description} if description else schema


def _bson_type(node: Mapping[str, Any]) -> Any:
    if node.get("format") == "date-time":
        return "date"
    if node.get("format") == "binary":
        return "binData"
    return _TYPES[node["type"]]


def _inner(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Convert what stands inside arrays and objects."""
    schema: Schema = {}
    if "prefixItems" in node:
        schema["items"] = [_converted(item, definitions) for item in node["prefixItems"]]
    elif isinstance(node.get("items"), Mapping):
        schema["items"] = _converted(node["items"], definitions)
    if "properties" in node:
        schema["properties"] = {name: _converted(part, definitions) for name, part in node["properties"].items()}
        schema["required"] = sorted(node["properties"])
        schema["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), Mapping):
        inner = _converted(node["additionalProperties"], definitions)
        schema["additionalProperties"] = inner if inner else True
    return schema


def _description(node: Mapping[str, Any]) -> str:
    parts = [str(node.get("description", "")).split("\n")[0]]
    if node.get("format") == "binary":
        shape = ", ".join(str(axis) for axis in node["shape"])
        parts.append(f"little-endian {node['dtype']}, shape ({shape}), row-major")
    if "unit" in node:
        parts.append(f"unit {node['unit']}")
    return "; ".join(part for part in parts if part)
