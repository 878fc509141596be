"""What producers read: a JSON Schema of every event and an AsyncAPI document of every topic, as text.

Derived from the records, so that they cannot drift; a test holds the files in the repository against this
module, and `shop-pulse render` writes them.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from schemas.envelope import Envelope
from schemas.events import (
    DEAD_LETTERS,
    EVENT_TYPES,
    INPUT_TOPICS,
    LATE,
    SUBJECT,
    TYPES_OF_TOPIC,
    Event,
    SourceHeartbeat,
    event_type,
)
from schemas.verdicts import Reason

SCHEMA_FILE: Final = "schemas/events.schema.json"
ASYNCAPI_FILE: Final = "schemas/asyncapi.json"

_PREFIX: Final = "shop."
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
_KAFKA_BINDING: Final = "0.5.0"
_REF: Final = "#/$defs/"
_NULL: Final = {"type": "null"}
_ABOUT_EVENTS: Final = (
    "One JSON object per Kafka record. Times are UTC milliseconds, amounts minor units of the currency. "
    "Unknown fields are ignored; an unknown platform or surface counts as other. Rules over several fields "
    "(an order's totals, a refund's sum) are not expressed here."
)
_ABOUT_TOPICS: Final = (
    f"Topics carry one prefix, a setting; {_PREFIX} is its default. All topics have the same number of "
    "partitions, and producers place keys by murmur2, Kafka's default."
)
_BEHIND_THE_TOPIC: Final = {
    DEAD_LETTERS: "Records that were not counted, with the reason. One may appear twice after a crash: "
    "(topic, partition, offset) identifies it.",
    LATE: "Records that came too late to change a figure. One may appear twice after a crash: "
    "(topic, partition, offset) identifies it.",
}

Json = dict[str, Any]


def files() -> dict[str, str]:
    """Every generated document: path from the root of the repository -> text."""
    return {SCHEMA_FILE: _text(event_schema()), ASYNCAPI_FILE: _text(asyncapi())}


def event_schema() -> Json:
    """JSON Schema (2020-12) of one record's value; the types stand in `$defs` under their classes' names."""
    (union, _), definitions = msgspec.json.schema_components([Event, Envelope], ref_template=_REF + "{name}")
    for definition in definitions.values():
        _tidy(definition)
    envelope = definitions[Envelope.__name__]
    del envelope["properties"]["event_type"]
    envelope["required"].remove("event_type")
    for cls in EVENT_TYPES:
        definitions[cls.__name__] = _on_envelope(definitions[cls.__name__], envelope)
    return {"$schema": _DRAFT, "title": "Shop Pulse events", "description": _ABOUT_EVENTS} | {
        "anyOf": union["anyOf"],
        "$defs": dict(sorted(definitions.items())),
    }


def asyncapi() -> Json:
    """AsyncAPI 3.0 of the topics that are read and the two that are written."""
    names = [*INPUT_TOPICS, DEAD_LETTERS, LATE]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Shop Pulse",
            "version": "1",
            "description": _ABOUT_TOPICS,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in names},
        "operations": {f"{_action(name)}-{name}": _operation(name) for name in names},
        "components": {
            "messages": {cls.__name__: _message(cls) for cls in EVENT_TYPES}
            | {_written(name): _refused_record(name) for name in (DEAD_LETTERS, LATE)},
        },
    }


def _text(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _tidy(definition: Json) -> None:
    """Says what the decoders do: null in an optional field is the same as no field."""
    for name, rule in definition["properties"].items():
        if name == "event_type":
            definition["properties"][name] = {"const": rule["enum"][0]}
        elif name not in definition["required"]:
            definition["properties"][name] = _nullable(rule)


def _nullable(rule: Json) -> Json:
    choices = [choice for choice in rule.get("anyOf", [rule]) if choice != _NULL]
    (only,) = choices
    words = {key: value for key, value in only.items() if key != "default" or value is not None}
    if "enum" in words:
        return words | {"enum": [*(word for word in words["enum"] if word is not None), None]}
    # Bounds speak of numbers, lengths of strings and arrays: they let null pass.
    return words | {"type": [words["type"], "null"]}


def _on_envelope(definition: Json, envelope: Json) -> Json:
    """The definition with what it shares with every event left to the envelope's."""
    shared = envelope["properties"]
    own = {name: rule for name, rule in definition["properties"].items() if shared.get(name) != rule}
    return definition | {
        "allOf": [{"$ref": _REF + Envelope.__name__}],
        "properties": own,
        "required": [name for name in definition["required"] if name in own],
    }


def _types(topic: str) -> list[type[Event]]:
    return [cls for cls in EVENT_TYPES if cls in TYPES_OF_TOPIC[topic]]


def _written(name: str) -> str:
    return {DEAD_LETTERS: "DeadLetter", LATE: "LateRecord"}[name]


def _action(name: str) -> str:
    return "send" if name in _BEHIND_THE_TOPIC else "receive"


def _message_names(name: str) -> list[str]:
    return [_written(name)] if name in _BEHIND_THE_TOPIC else [cls.__name__ for cls in _types(name)]


def _channel(name: str) -> Json:
    channel: Json = {"address": _PREFIX + name}
    if name in _BEHIND_THE_TOPIC:
        channel["description"] = _BEHIND_THE_TOPIC[name]
    channel["messages"] = {
        message: {"$ref": f"#/components/messages/{message}"} for message in _message_names(name)
    }
    return channel


def _operation(name: str) -> Json:
    return {
        "action": _action(name),
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in _message_names(name)],
    }


def _message(cls: type[Event]) -> Json:
    subject = SUBJECT[cls]
    key = f"The event's {subject}." if subject else "Any: a heartbeat goes to every partition."
    return {
        "name": event_type(cls),
        "title": cls.__name__,
        "summary": (cls.__doc__ or "").strip(),
        "payload": {
            "schemaFormat": _SCHEMA_FORMAT,
            "schema": {"$ref": f"events.schema.json#/$defs/{cls.__name__}"},
        },
        "bindings": _kafka_key(key, required=cls is not SourceHeartbeat),
    }


def _kafka_key(description: str, *, required: bool) -> Json:
    key: Json = {"type": "string", "minLength": 1} if required else {"type": ["string", "null"]}
    return {"kafka": {"key": key | {"description": description}, "bindingVersion": _KAFKA_BINDING}}


def _refused_record(name: str) -> Json:
    reasons = [Reason.LATE] if name == LATE else [reason for reason in Reason if reason != Reason.LATE]
    digits = {"type": "string", "pattern": "^[0-9]+$"}
    return {
        "name": name,
        "title": _written(name),
        "summary": "The original bytes and key; before the original headers, these.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "required": ["topic", "partition", "offset", "reason"],
            "properties": {
                "topic": {"type": "string", "description": "The Kafka topic that it was read from."},
                "partition": digits | {"description": "Its partition, in decimal."},
                "offset": digits | {"description": "Its offset, in decimal."},
                "reason": {"type": "string", "enum": [str(reason) for reason in reasons]},
            },
        },
        "payload": {"description": "The original bytes, whatever they are."},
        "bindings": _kafka_key("The original key.", required=False),
    }
