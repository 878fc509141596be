"""The long way from bytes to an event: finds the reason, and settles what the fast way cannot.

`codec` sends here each record that is not plainly right. Reads the object member by member, so that the
last of doubled keys wins and unknown members are only read as JSON; what fields may hold is taken from the
records' types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, inspect

from schemas.events import EVENT_TYPES, TYPES_OF_TOPIC, Event, event_type
from schemas.fields import MAX_DEPTH
from schemas.verdicts import Reason, Rejected

_Fields = dict[str, inspect.Field]
_Finding = tuple[Reason, str]

_CLASSES: Final = {event_type(cls): cls for cls in EVENT_TYPES}
_ORDER: Final = {reason: place for place, reason in enumerate(Reason)}
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_ARRAY: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_WORDS: Final[dict[bytes, bool | None]] = {b"true": True, b"false": False, b"null": None}
# Possessive, and a string needs no end: one pass over any bytes, however hostile.
_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|([\]}])', re.DOTALL)
_QUOTED_CHARACTERS: Final = 40
# Longer numbers stand for themselves no more: out of every range, and Python would refuse to read 5 000
# digits.
_MAX_DIGITS: Final = 20


def judge(value: bytes, topic: str) -> Event | Rejected:
    """The event in `value` (<= 64 KiB) with platform and surface as they came, or the reason against it.

    Rules over several fields of an order or refund are not judged here.
    """
    try:
        value.decode()
        if _depth_exceeded(value):
            return Rejected(Reason.NOT_JSON, f"nested deeper than {MAX_DEPTH}")
        members = _OBJECT.decode(value)
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_JSON, f"not UTF-8: {error.reason} at byte {error.start}")
    except msgspec.DecodeError as error:
        return Rejected(Reason.NOT_JSON, str(error))
    if "event_type" not in members:
        return Rejected(Reason.UNKNOWN_TYPE, "event_type: missing")
    tag = _read(members["event_type"])
    if not isinstance(tag, str) or tag not in _CLASSES:
        return Rejected(Reason.UNKNOWN_TYPE, f"event_type: {_quote(tag)} is not known")
    cls = _CLASSES[tag]
    if cls not in TYPES_OF_TOPIC[topic]:
        return Rejected(Reason.WRONG_TOPIC, f"event_type: {tag} does not belong in {topic}")
    fields = _FIELDS[cls]
    known = _members(fields, members)
    # All fields are looked at before any is blamed: a missing one comes before a bad one, wherever they
    # stand.
    first = min(_findings(fields, known, ""), key=lambda finding: _ORDER[finding[0]], default=None)
    return Rejected(*first) if first else _build(cls, fields, known)


def _depth_exceeded(value: bytes) -> bool:
    """Whether JSON in `value` nests deeper than allowed; for what is not JSON, either answer."""
    depth = 0
    for token in _TOKENS.finditer(value):
        if token.lastindex == 1:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token.lastindex:
            depth -= 1
    return False


def _read(raw: Raw) -> Any:
    """One JSON value: containers as raw parts, integers beyond 64 bits as some integer beyond 64 bits."""
    text = bytes(raw).strip()
    match text[:1]:
        case b'"':
            return _TEXT.decode(text)
        case b"{":
            return _OBJECT.decode(text)
        case b"[":
            return _ARRAY.decode(text)
        case b"t" | b"f" | b"n":
            return _WORDS[text]
    if text.lstrip(b"-").isdigit():
        return int(text[:_MAX_DIGITS] if len(text) <= _MAX_DIGITS else text[:1] + b"9" * _MAX_DIGITS)
    return float(text)


def _members(fields: _Fields, raws: dict[str, Raw]) -> dict[str, Any]:
    """The known members of an object, read; an optional one that is null counts as absent."""
    members = {}
    for name, field in fields.items():
        if name not in raws:
            continue
        value = _read(raws[name])
        if value is None and not field.required:
            continue
        if isinstance(field.type, inspect.VarTupleType) and isinstance(value, list):
            inner = _fields_of(field.type.item_type)
            parts = map(_read, value)
            value = [_members(inner, part) if isinstance(part, dict) else part for part in parts]
        members[name] = value
    return members


def _findings(fields: _Fields, members: dict[str, Any], path: str) -> Iterator[_Finding]:
    """Everything that is wrong with each field for itself, in the order of the fields."""
    for name, field in fields.items():
        if name in members:
            yield from _judge_field(field.type, members[name], path + name)
        elif field.required:
            yield Reason.MISSING_FIELD, f"{path}{name}: missing"


def _judge_field(rule: inspect.Type, value: Any, path: str) -> Iterator[_Finding]:
    match rule:
        case inspect.StrType():
            if not isinstance(value, str):
                yield Reason.BAD_FIELD, f"{path}: {_quote(value)} is not a string"
            elif not (rule.min_length or 0) <= len(value) <= (rule.max_length or len(value)):
                wanted = f"{rule.min_length} to {rule.max_length} characters"
                yield Reason.BAD_FIELD, f"{path}: {len(value)} characters, not {wanted}"
            elif rule.pattern and not re.search(rule.pattern, value):
                yield Reason.BAD_FIELD, f"{path}: {_quote(value)} is not {rule.pattern}"
        case inspect.LiteralType():
            if value not in rule.values:
                yield (
                    Reason.BAD_FIELD,
                    f"{path}: {_quote(value)} is none of {' '.join(map(str, rule.values))}",
                )
        case inspect.IntType():
            if type(value) is not int:
                yield Reason.BAD_FIELD, f"{path}: {_quote(value)} is not an integer"
            elif rule.ge is not None and value < rule.ge:
                yield Reason.OUT_OF_RANGE, f"{path}: less than {rule.ge}"
            elif rule.le is not None and value > rule.le:
                yield Reason.OUT_OF_RANGE, f"{path}: more than {rule.le}"
        case inspect.VarTupleType():
            yield from _judge_items(rule, value, path)


def _judge_items(rule: inspect.VarTupleType, value: Any, path: str) -> Iterator[_Finding]:
    if not isinstance(value, list):
        yield Reason.BAD_FIELD, f"{path}: {_quote(value)} is not an array"
        return
    fields = _fields_of(rule.item_type)
    for place, item in enumerate(value):
        if isinstance(item, dict):
            yield from _findings(fields, item, f"{path}[{place}].")
        else:
            yield Reason.BAD_FIELD, f"{path}[{place}]: {_quote(item)} is not an object"
    if not (rule.min_length or 0) <= len(value) <= (rule.max_length or len(value)):
        yield (
            Reason.OUT_OF_RANGE,
            f"{path}: {len(value)} of them, not {rule.min_length or 0} to {rule.max_length}",
        )


def _build(cls: type[Any], fields: _Fields, members: dict[str, Any]) -> Any:
    """An instance of `cls` from members that have been judged."""
    values = dict(members)
    for name, field in fields.items():
        if name in members and isinstance(field.type, inspect.VarTupleType):
            item = field.type.item_type
            values[name] = tuple(_build(_class_of(item), _fields_of(item), part) for part in members[name])
    return cls(**values)


def _quote(value: Any) -> str:
    """What the user sent, in few enough characters for a header."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return ascii(value)[:_QUOTED_CHARACTERS]


def _class_of(rule: inspect.Type) -> type[Any]:
    assert isinstance(rule, inspect.StructType)
    return rule.cls


def _fields_of(rule: inspect.Type) -> _Fields:
    return _FIELDS[_class_of(rule)]


def _rule(declared: inspect.Type) -> inspect.Type:
    """A field's type without what does not concern its values: documentation, and that it may be null."""
    match declared:
        case inspect.Metadata():
            return _rule(declared.type)
        case inspect.UnionType():
            (one,) = (part for part in declared.types if not isinstance(part, inspect.NoneType))
            return _rule(one)
        case inspect.StrType() | inspect.LiteralType() | inspect.IntType() | inspect.VarTupleType():
            return declared
    raise TypeError(f"no rule for fields of type {declared}: add one here and in _judge_field")


def _collect(cls: type[Any], found: dict[type[Any], _Fields]) -> None:
    """Adds the fields of `cls`, and of the records in its lists, to `found`."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    fields = {}
    for field in info.fields:
        rule = _rule(field.type)
        if isinstance(rule, inspect.VarTupleType):
            _collect(_class_of(rule.item_type), found)
        fields[field.encode_name] = inspect.Field(
            field.name, field.encode_name, rule, field.required, field.default, field.default_factory
        )
    found[cls] = fields


def _all_fields() -> dict[type[Any], _Fields]:
    found: dict[type[Any], _Fields] = {}
    for cls in EVENT_TYPES:
        _collect(cls, found)
    return found


_FIELDS: Final = _all_fields()
