"""The generated documents are those in the repository, hold what they promise, and fit the golden samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.documents import ASYNCAPI_FILE, asyncapi, event_schema, files
from schemas.events import DEAD_LETTERS, EVENT_TYPES, INPUT_TOPICS, LATE, event_type
from tests.golden import Sample, accepted, samples

ROOT = Path(__file__).parent.parent
VALIDATOR = jsonschema.Draft202012Validator(event_schema())


def test_files_are_current() -> None:
    """The files in the repository are what the records give: after a change, `shop-pulse render`."""
    for path, text in files().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is old: run `shop-pulse render`"


def test_schema_is_valid() -> None:
    """The JSON Schema is one, of draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(event_schema())


@pytest.mark.parametrize("sample", accepted(), ids=lambda sample: sample.why)
def test_accepted_samples_fit_the_schema(sample: Sample) -> None:
    """What the decoders accept, the schema accepts."""
    VALIDATOR.validate(json.loads(sample.value))


def test_schema_refuses_what_it_can_express() -> None:
    """Missing and bad fields do not fit; a fraction of zero, which JSON Schema calls an integer, does."""
    for sample in samples():
        if sample.verdict in ("missing_field", "bad_field", "unknown_type"):
            lenient = sample.why in ("a fraction", "an exponent")
            assert VALIDATOR.is_valid(json.loads(sample.value)) == lenient, sample.why


def test_schema_lists_every_type() -> None:
    """Each event type is one definition, found by its class's name."""
    definitions = event_schema()["$defs"]
    for cls in EVENT_TYPES:
        assert definitions[cls.__name__]["properties"]["event_type"] == {"const": event_type(cls)}
        assert definitions[cls.__name__]["description"]


def _references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(document, list):
        for value in document:
            yield from _references(value)


def _resolve(reference: str) -> Any:
    path, _, pointer = reference.partition("#")
    here = json.loads((ROOT / ASYNCAPI_FILE).with_name(path).read_text()) if path else asyncapi()
    for part in pointer.strip("/").split("/"):
        here = here[part]
    return here


def test_asyncapi_refers_to_what_exists() -> None:
    """Every reference, also into the JSON Schema beside it, leads somewhere."""
    references = set(_references(asyncapi()))
    assert len(references) > 100
    for reference in references:
        assert _resolve(reference)


def test_asyncapi_has_every_topic() -> None:
    """Channels are the topics that are read, in order, and the two that are written with their headers."""
    document = asyncapi()
    assert list(document["channels"]) == [*INPUT_TOPICS, DEAD_LETTERS, LATE]
    assert document["channels"]["tag-taps"]["address"] == "shop.tag-taps"
    for message in ("DeadLetter", "LateRecord"):
        headers = document["components"]["messages"][message]["headers"]
        assert headers["required"] == ["topic", "partition", "offset", "reason"]
    assert {operation["action"] for operation in document["operations"].values()} == {"receive", "send"}


def test_asyncapi_names_the_keys() -> None:
    """A producer finds in each message which field is the Kafka key."""
    messages = asyncapi()["components"]["messages"]
    assert "user_id" in messages["View"]["bindings"]["kafka"]["key"]["description"]
    assert "live_id" in messages["LiveStart"]["bindings"]["kafka"]["key"]["description"]
