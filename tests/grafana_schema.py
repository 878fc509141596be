"""JSON Schema of Grafana's dashboards, from the types of the pinned SDK (grafana-foundation-sdk 11.6).

The SDK's package brings types but no schema files, so the schema is read off the types: their fields, the
keys they are written under, and what must be there. What its types leave open is closed here: `options` and
`custom` of a panel are those of its plugin, and a panel's queries are Prometheus'.
"""

from __future__ import annotations

import enum
import sys
import typing
from functools import cache
from types import NoneType
from typing import Any

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import (
    bargauge,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)

Schema = dict[str, Any]
# Plugin by its name: type of its options, and of what it has in a field's settings beside what all have.
PLUGINS: dict[str, tuple[type, type | None]] = {
    "stat": (stat.Options, None),
    "bargauge": (bargauge.Options, None),
    "table": (table.Options, table.FieldConfig),
    "timeseries": (timeseries.Options, timeseries.FieldConfig),
    "state-timeline": (statetimeline.Options, statetimeline.FieldConfig),
}
# The SDK knows no type of these, so their options are looked at by eye only.
UNTYPED = ("alertlist",)
_SCALARS: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    object: {},
    Any: {},
    NoneType: {"type": "null"},
}


def of_dashboard() -> Schema:
    """The schema of a whole dashboard; nothing that it does not name may stand there."""
    made = _Made()
    top = made.reference(dashboard.Dashboard)
    panel = made.definitions["Panel"]
    made.definitions["Panel"] = {
        **panel,
        "properties": {**panel["properties"], "type": {"enum": [*PLUGINS, *UNTYPED]}},
        "allOf": [made.plugin(panel, name) for name in PLUGINS],
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", **top, "definitions": made.definitions}


@cache
def fields(cls: type) -> dict[str, tuple[str, Any]]:
    """Of a type of the SDK: key in JSON, and name and type of the attribute behind it."""
    hints = typing.get_type_hints(cls, vars(sys.modules[cls.__module__]))
    told: Any = object.__new__(cls)
    for name in hints:
        setattr(told, name, _Name(name))
    return {key: (value.name, hints[value.name]) for key, value in told.to_json().items()}


class _Name:
    """Stands in for a value, to see under which key it is written."""

    def __init__(self, name: str) -> None:
        self.name = name


def _required(cls: type) -> list[str]:
    told: Any = object.__new__(cls)
    for name, _ in fields(cls).values():
        setattr(told, name, None)
    return list(told.to_json())


class _Made:
    """The definitions so far, by the type's name."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def reference(self, cls: type, name: str = "") -> Schema:
        """Where a type's schema stands; made when first asked for."""
        name = name or cls.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # a type may hold itself
            required = _required(cls)
            self.definitions[name] = {
                "type": "object",
                "additionalProperties": False,
                "required": required,
                "properties": {
                    key: self.schema(hint, may_be_null=key in required)
                    for key, (_, hint) in fields(cls).items()
                },
            }
        return {"$ref": f"#/definitions/{name}"}

    def schema(self, hint: Any, may_be_null: bool) -> Schema:
        """The schema of a type hint. None is written as null only where the key always stands."""
        if hint in _SCALARS:
            return _SCALARS[hint]
        if hint is variants.Dataquery:
            return self.reference(prometheus.Dataquery, "PrometheusQuery")
        arguments = typing.get_args(hint)
        match typing.get_origin(hint):
            case typing.Union:
                kept = [each for each in arguments if each is not NoneType or may_be_null]
                return {"anyOf": [self.schema(each, may_be_null) for each in kept]}
            case typing.Literal:
                return {"enum": list(arguments)}
            case origin if origin is list:
                return {"type": "array", "items": self.schema(arguments[0], False)}
            case origin if origin is dict:
                return {"type": "object", "additionalProperties": self.schema(arguments[1], False)}
        if issubclass(hint, enum.Enum):
            return {"enum": [each.value for each in hint]}
        return self.reference(hint)

    def plugin(self, panel: Schema, name: str) -> Schema:
        """What holds for panels of a plugin."""
        options, custom = PLUGINS[name]
        of_field: Schema = {"defaults": {"properties": {"custom": False}}}
        if custom is not None:
            named = self.reference(custom, f"{name} field")
            of_field = {"defaults": {"properties": {"custom": named}}}
        properties = {
            "options": self.reference(options, f"{name} options"),
            "fieldConfig": {"properties": of_field},
        }
        return {"if": {"properties": {"type": {"const": name}}}, "then": {"properties": properties}}
