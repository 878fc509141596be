"""What Redis holds, and what apply.lua does to it, in plain Python.

It takes the script's own keys and arguments, so the operations are those that `write_plan` really makes; that
it does what the script does on a real Redis is shown by test_redis_model.py. A sketch is the set of its
members, so that it can be compared with the users themselves. Values are never changed once a snapshot may
share them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw
from msgspec.msgpack import decode

from streams.write_plan import AMOUNT_MAX

DAY_MS = 86_400_000


class Zset(dict[bytes, int]):
    """Members with their scores."""


class Sketch(set[bytes]):
    """A sketch of users: who was added."""


class ScriptError(Exception):
    """The script refused with an error reply."""


TYPE_OF: dict[bytes, type] = {
    b"H": dict, b"I": dict, b"M": dict, b"D": dict, b"A": bytes, b"R": list, b"L": list,
    b"N": dict, b"T": list, b"P": Sketch, b"S": set, b"E": set, b"Z": Zset, b"X": Zset,
}  # fmt: skip
# Of operations on two keys: which argument says the other one's place, and the type that it must have.
SECOND_TYPE_OF: dict[bytes, tuple[int, type]] = {b"E": (0, Zset), b"N": (2, list), b"T": (0, dict)}


def unpacked(packed: bytes) -> list[bytes]:
    """The script's arguments as strings; those in MessagePack need not be UTF-8, as Redis reads them."""
    found = []
    for raw in decode(packed, type=list[Raw]):
        data = bytes(raw)
        head = data[0]
        if 0xA0 <= head <= 0xBF:
            found.append(data[1:])
        elif 0xD9 <= head <= 0xDB:
            found.append(data[1 + (1 << head - 0xD9) :])
        else:
            found.append(b"%d" % decode(data))
    return found


def _first(_index: str, names: set[bytes], limit: int) -> list[bytes]:
    return sorted(names)[:limit]


class RedisModel:
    """One Redis without a network."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        # Keys whose values no snapshot shares.
        self._own: set[str] = set()
        # Which names a sweep of an index takes first, where it does not take all: any choice is right.
        self.chosen: Callable[[str, set[bytes], int], list[bytes]] = _first

    def snapshot(self) -> dict[str, Any]:
        """All that it holds; costs a copy of the names only."""
        self._own = set()
        return dict(self.data)

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Holds what it held then."""
        self.data = dict(snapshot)
        self._own = set()

    def _mutable(self, key: str, kind: type) -> Any:
        value = self.data.get(key)
        if value is None:
            value = self.data[key] = kind()
            self._own.add(key)
        elif key not in self._own:
            value = self.data[key] = value.__class__(value)
            self._own.add(key)
        return value

    def run_script(self, keys: Sequence[str], argv: list[bytes]) -> list[Any]:
        """What apply.lua answers. Raises ScriptError where it answers an error: nothing was changed then."""
        meta = self.data.get(keys[0], {})
        stored = meta.get(b"token", b"")
        if stored == argv[1]:
            return [b"DONE"]
        if stored != argv[0]:
            return [b"REFUSED", b"token"]
        guards = int(argv[2])
        for at in range(3, 3 + 2 * guards, 2):
            if meta.get(argv[at], b"") != argv[at + 1]:
                return [b"REFUSED", argv[at]]
        at = 3 + 2 * guards
        meta_from, meta_to = at + 1, at + 1 + 2 * int(argv[at])
        operations = []
        at = meta_to
        while at < len(argv):
            end = at + 3 + int(argv[at + 2])
            operations.append((argv[at], keys[int(argv[at + 1]) - 1], argv[at + 3 : end]))
            at = end
        for code, key, rest in operations:
            self._check(code, key, rest, keys)
        return self._apply(keys, operations, argv[meta_from:meta_to], argv[1])

    def _check(self, code: bytes, key: str, args: list[bytes], keys: Sequence[str]) -> None:
        found = self.data.get(key)
        if code in SECOND_TYPE_OF:
            at, kind = SECOND_TYPE_OF[code]
            self._check_type(keys[int(args[at]) - 1], kind)
        if found is not None and code != b"U":
            self._check_type(key, TYPE_OF[code])
        if code == b"I" and found:
            for name, amount in zip(args[::2], args[1::2], strict=True):
                if abs(int(found.get(name, b"0")) + int(amount)) > AMOUNT_MAX:
                    raise ScriptError(f"TOOLARGE {name.decode()} of {key}")

    def _check_type(self, key: str, kind: type) -> None:
        found = self.data.get(key)
        if found is not None and found.__class__ is not kind:
            raise ScriptError(f"MALFORMED {key} is a {found.__class__.__name__}")

    def _apply(
        self,
        keys: Sequence[str],
        operations: list[tuple[bytes, str, list[bytes]]],
        fields: list[bytes],
        token: bytes,
    ) -> list[Any]:
        meta = self._mutable(keys[0], dict)
        seq = int(meta.get(b"seq", b"0")) + 1
        meta[b"seq"] = b"%d" % seq
        increments: list[bytes] = []
        left: list[int] = []
        swept: list[int] = []
        for code, key, args in operations:
            match code:
                case b"H":
                    self._mutable(key, dict).update(zip(args[::2], args[1::2], strict=True))
                case b"I":
                    fields_of = self._mutable(key, dict)
                    for name, amount in zip(args[::2], args[1::2], strict=True):
                        fields_of[name] = b"%d" % (int(fields_of.get(name, b"0")) + int(amount))
                        increments.append(fields_of[name])
                case b"M":
                    self._raise(self._mutable(key, dict), args)
                case b"A":
                    self.data[key] = self.data.get(key, b"") + args[0]
                case b"R":
                    self._mutable(key, list).extend(args)
                case b"L":
                    marks = self._mutable(key, list)
                    marks.insert(0, b"%d %b" % (seq, args[0]))
                    del marks[int(args[1]) :]
                case b"N":
                    self._keep_lowest(key, args, keys[int(args[2]) - 1])
                case b"T":
                    left.append(self._trim(key, keys[int(args[0]) - 1], args[1], int(args[2])))
                case b"P":
                    self._mutable(key, Sketch).update(args)
                case b"S":
                    self._mutable(key, set).update(args)
                case b"E":
                    swept.append(self._sweep(key, keys[int(args[0]) - 1], args[1:]))
                case b"Z":
                    self._mutable(key, Zset).update(dict.fromkeys(args, seq))
                case b"D" | b"X":
                    self._remove(key, args)
                case _:
                    self.data.pop(key, None)
        self._mutable(keys[0], dict).update(zip(fields[::2], fields[1::2], strict=True))
        self.data[keys[0]][b"token"] = token
        return [b"OK", b"%d" % seq, increments, left, swept]

    @staticmethod
    def _raise(fields: dict[bytes, bytes], args: list[bytes]) -> None:
        for name, amount in zip(args[::2], args[1::2], strict=True):
            if name not in fields or int(fields[name]) < int(amount):
                fields[name] = amount

    def _keep_lowest(self, key: str, args: list[bytes], day_list: str) -> None:
        name, time_ms, days = args[0], args[1], int(args[3])
        before = self.data.get(key, {}).get(name)
        is_new = before is None or int(time_ms) // DAY_MS - int(before) // DAY_MS >= days
        if is_new:
            self._mutable(day_list, list).append(name)
        if is_new or int(time_ms) < int(before or 0):
            self._mutable(key, dict)[name] = time_ms

    def _trim(self, key: str, hash_key: str, prefix: bytes, limit: int) -> int:
        day = int(key.rpartition(":")[2])
        listed = self.data.get(key, [])
        records = self.data.get(hash_key, {})
        gone = [
            name
            for name in listed[:limit]
            if (record := records.get(name)) is not None
            and record.startswith(prefix)
            and (prefix or int(record) // DAY_MS <= day)
        ]
        if gone:
            self._remove(hash_key, gone)
        rest = listed[limit:]
        if rest:
            self.data[key] = rest
            self._own.add(key)
        else:
            self.data.pop(key, None)
        return len(rest)

    def _sweep(self, key: str, zset: str, args: list[bytes]) -> int:
        member, prefix, suffix, limit = args[0], args[1].decode(), args[2].decode(), int(args[3])
        names: set[bytes] = self.data.get(key, set())
        for name in self.chosen(key, names, limit) if names else ():
            self.data.pop(prefix + name.decode() + suffix, None)
            self._remove(key, [name])
        left = len(self.data.get(key, ()))
        if not left:
            self._remove(zset, [member])
        return left

    def _remove(self, key: str, names: Sequence[bytes]) -> None:
        """Takes members or fields away; what is empty is gone, as in Redis."""
        if key in self.data:
            value = self._mutable(key, set)
            for name in names:
                if isinstance(value, dict):
                    value.pop(name, None)
                else:
                    value.discard(name)
            if not value:
                del self.data[key]
