"""Ways to break an owner, each of which the simulation must find: it would prove nothing if it could not.

Each takes the guard off one rule of docs/engine.md, by a patch that ends with the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

from streams.admission import CellKey
from streams.batch import Batch
from streams.ledger import Ledger
from streams.owner import Owner
from streams.state import Missing, PartitionState, StateWrite
from streams.store import Store
from streams.sums import Sums
from streams.verdict import Refusal
from streams.window import HOUR_MS
from tests.simulation.process import Process
from tests.simulation.redis_model import RedisModel, unpacked
from tests.simulation.wire import Asking


def guard_off() -> AbstractContextManager[Any]:
    """Redis applies a write whatever it holds: neither token nor vector are compared."""
    run_script = RedisModel.run_script

    def unguarded(model: RedisModel, keys: Sequence[str], argv: list[bytes]) -> list[Any]:
        stored = model.data.get(keys[0], {}).get(b"token", b"")
        vector_end = 3 + 2 * int(argv[2])
        return run_script(model, keys, [stored, argv[1], b"0", *argv[vector_end:]])

    return patch.object(RedisModel, "run_script", unguarded)


def vector_first() -> AbstractContextManager[Any]:
    """The vector is written in a call of its own, before the figures."""

    def register_script(asking: Asking, script: str) -> Callable[..., Any]:
        async def apply(keys: Sequence[str], args: Sequence[bytes]) -> Any:
            argv = unpacked(args[0])
            meta_at = 3 + 2 * int(argv[2])
            operations = meta_at + 1 + 2 * int(argv[meta_at])
            answer = await asking.ask(lambda model: model.run_script(keys, argv[:operations]), is_write=True)
            if answer[0] != b"OK":
                return answer

            def figures(model: RedisModel) -> list[Any]:
                token = argv[1]
                done = model.run_script(keys, [token, token + b"!", b"0", b"0", *argv[operations:]])
                model.data[keys[0]][b"token"] = token
                return done

            return await asking.ask(figures, is_write=True)

        return apply

    return patch.object(Asking, "register_script", register_script)


def letters_last() -> AbstractContextManager[Any]:
    """Refused records are sent once the write that passes them by is done."""
    save = Owner._save

    async def saved(
        owner: Owner, state: PartitionState, write: StateWrite, refusals: dict[str, list[Refusal]], epoch: int
    ) -> None:
        await save(owner, state, write, {}, epoch)
        for topic, refused in refusals.items():
            await owner._retry(partial(owner._send, topic, refused), epoch)

    return patch.object(Owner, "_save", saved)


def positions_unchecked() -> AbstractContextManager[Any]:
    """A batch is folded wherever it begins, and of whatever epoch it is."""
    apply = Owner._apply

    async def applied(owner: Owner, batch: Batch) -> None:
        if owner.state is not None:
            before = owner.state.topics[batch.topic].next_offset
            assert before is not None
            await apply(owner, replace(batch, before=before, epoch=owner.epoch))

    return patch.object(Owner, "_apply", applied)


def tokens_of_readings_unchecked() -> AbstractContextManager[Any]:
    """Records are used that another owner wrote meanwhile."""
    read = Owner._read

    async def trusted(owner: Owner, missing: Missing) -> tuple[Any, Any, set[str]]:
        records, names, _ = await read(owner, missing)
        return records, names, set()

    return patch.object(Owner, "_read", trusted)


def ids_of_another_time() -> AbstractContextManager[Any]:
    """A take-over uses ids of events although Redis was written since it read the vector."""
    load_ids = Store._load_ids

    async def loaded(store: Store, state: PartitionState, keys: Any, token: str) -> bool:
        await load_ids(store, state, keys, token)
        return True

    return patch.object(Store, "_load_ids", loaded)


def copies_forgotten_on_their_way() -> AbstractContextManager[Any]:
    """Copies of records may be forgotten although the write that took them is not answered."""

    def age(ledger: Ledger[Any]) -> None:
        ledger._old, ledger._young = dict(ledger._unsaved), {}

    return patch.object(Ledger, "age", age)


def deleted_records_filed_nowhere() -> AbstractContextManager[Any]:
    """A copy of a record that was deleted is put again, and no day's list names it."""
    return patch.object(Ledger, "delete_day", lambda ledger, day: None)


def first_slice_only() -> AbstractContextManager[Any]:
    """Of cells that go before their pane does one slice is deleted, and the rest forgotten."""
    take_outlived = Sums.take_outlived

    def taken(sums: Sums, high_ms: int) -> list[CellKey]:
        outlived = take_outlived(sums, high_ms)
        sums._looked_at_hour = high_ms // HOUR_MS
        return outlived

    return patch.object(Sums, "take_outlived", taken)


def clock_trusted() -> AbstractContextManager[Any]:
    """Nothing is saved until the clock has passed the last write's time again."""

    def if_due(owner: Owner) -> None:
        if owner._state is not None and owner._flushing is None:
            waited_ms = owner._work.now_ms() - owner._written_at_ms
            if waited_ms >= (200 if owner._state.dirty or owner._refusals else 1_000):
                owner._start_flush()

    return patch.object(Owner, "flush_if_due", if_due)


def openings_in_any_order() -> AbstractContextManager[Any]:
    """The consumer obeys whichever opening comes last, although a later take-over asked before."""
    return patch.object(Process, "is_overtaken", lambda process, epoch: False)


def released_before_it_began() -> AbstractContextManager[Any]:
    """A take-over whose owner was released before its first step goes on all the same."""

    async def taken_over(owner: Owner) -> None:
        owner.release()
        await owner._take_over(owner.epoch)

    return patch.object(Owner, "take_over", taken_over)


MUTANTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    each.__name__: each
    for each in (
        guard_off,
        vector_first,
        letters_last,
        positions_unchecked,
        tokens_of_readings_unchecked,
        ids_of_another_time,
        copies_forgotten_on_their_way,
        deleted_records_filed_nowhere,
        first_slice_only,
        clock_trusted,
        openings_in_any_order,
        released_before_it_began,
    )
}
