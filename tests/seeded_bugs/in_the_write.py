"""Bugs in the guarded write: the script in Redis, what is sent to it, and what is read from it."""

from __future__ import annotations

from tests.seeded_bugs.bug import Bug, Edit, bug

LUA = "streams/apply.lua"
STORE = "streams/store.py"
PLAN = "streams/write_plan.py"
GUARD = "tests/integration/test_store_guard.py"
WRITES = "tests/integration/test_store.py"
FAILURES = "tests/integration/test_store_failures.py"
SKETCHES = "tests/integration/test_store_sketches.py"
READINGS = "tests/integration/test_owner_readings.py"

BUGS: tuple[Bug, ...] = (
    bug(
        "token_unchecked",
        "The script no longer compares the stored token with the memory's (compare-and-set off).",
        LUA,
        "if stored_token ~= ARGV[1] then",
        "if false then",
        GUARD,
    ),
    bug(
        "vector_unchecked",
        "The script compares the token, but not the vector of offsets.",
        LUA,
        "if (redis.call('HGET', META, ARGV[at]) or '') ~= ARGV[at + 1] then",
        "if false then",
        GUARD,
    ),
    bug(
        "vector_first",
        "The vector is written before the operations: one that fails leaves offsets without data.",
        LUA,
        "local seq = redis.call('HINCRBY', META, 'seq', 1)\n",
        "redis.call('HSET', META, 'token', ARGV[2], unpack(ARGV, meta_from, meta_to))\n"
        "local seq = redis.call('HINCRBY', META, 'seq', 1)\n",
        SKETCHES,
    ),
    bug(
        "unchecked_amounts",
        "The script does not look at amounts before it begins: an increment that overflows fails half-way.",
        LUA,
        "    return check_amounts(key, from, to, code == 'I')\n",
        "    return nil\n",
        FAILURES,
    ),
    bug(
        "sketches_last",
        "Sketches are written after the sums: a broken one fails when sums are changed already.",
        PLAN,
        "    _plan_sketches(operations, keys, write)\n    _plan_cells(operations, keys, write.cells)\n",
        "    _plan_cells(operations, keys, write.cells)\n    _plan_sketches(operations, keys, write)\n",
        SKETCHES,
    ),
    bug(
        "lost_answer_refused",
        "A write whose answer was lost is not recognised when it comes again.",
        LUA,
        "if stored_token == ARGV[2] then",
        "if false then",
        GUARD,
    ),
    Bug(
        "emptied_accepted",
        "An emptied Redis takes a write of the memory that was built before (a hole after FLUSHALL).",
        (
            Edit(
                LUA,
                "if stored_token ~= ARGV[1] then",
                "if stored_token ~= '' and stored_token ~= ARGV[1] then",
            ),
            Edit(
                LUA,
                "if (redis.call('HGET', META, ARGV[at]) or '') ~= ARGV[at + 1] then",
                "if (redis.call('HGET', META, ARGV[at]) or ARGV[at + 1]) ~= ARGV[at + 1] then",
            ),
        ),
        (GUARD,),
    ),
    bug(
        "answers_as_doubles",
        "What the script answers of increments goes through a Lua number: wrong above 2^53.",
        LUA,
        "    if #value <= 15 and #amount <= 15 then\n",
        "    if true then\n",
        WRITES,
    ),
    bug(
        "amounts_as_floats",
        "An amount becomes a float on its way to Redis: wrong above 2^53.",
        PLAN,
        "args += [name, str(amount)]",
        "args += [name, str(int(float(amount)))]",
        WRITES,
    ),
    bug(
        "highest_as_text",
        "The highest value is found by comparing texts: 9 stays above 10.",
        LUA,
        "    if not before or is_less(before, ARGV[i + 1]) then",
        "    if not before or before < ARGV[i + 1] then",
        WRITES,
    ),
    bug(
        "cells_expire",
        "A hash of cells gets a time to live.",
        LUA,
        "  H = function(key, from, to) redis.call('HSET', key, unpack(ARGV, from, to)) end,",
        "  H = function(key, from, to)\n"
        "    redis.call('HSET', key, unpack(ARGV, from, to)) redis.call('EXPIRE', key, 600)\n  end,",
        WRITES,
    ),
    bug(
        "refiled_deleted",
        "A day's list deletes records that were filed under a later day since.",
        LUA,
        "local is_due = record and string.sub(record, 1, #prefix) == prefix",
        "local is_due = record",
        WRITES,
    ),
    bug(
        "panes_unmarked",
        "Changed panes are not marked with the write's number: nobody deletes or reads them anew.",
        PLAN,
        '        operations.add("Z", keys("panes"), list(panes))\n',
        "        pass\n",
        WRITES,
    ),
    bug(
        "schema_unchecked",
        "A state of another version of the program is gone on with.",
        "streams/stored_meta.py",
        'if meta.get("schema") != SCHEMA:',
        "if False:",
        GUARD,
    ),
    bug(
        "rules_unchecked",
        "A state that was counted under other settings is gone on with.",
        "streams/stored_meta.py",
        'if meta.get("rules") != rules.text:',
        "if False:",
        "tests/integration/test_refused_states.py",
    ),
    bug(
        "ids_not_loaded",
        "A new owner does not load the ids of accepted events: repetitions count again.",
        STORE,
        "                state.ids[topic].load(minute, packed)",
        "                pass",
        WRITES,
    ),
    bug(
        "ids_of_another_write",
        "A new owner loads figures of one write and ids of the next, which another owner made meanwhile.",
        STORE,
        "        if _text(found_token) != token:\n            return False\n",
        "",
        READINGS,
    ),
    bug(
        "waiting_not_loaded",
        "A new owner forgets the refunds that wait for their order.",
        STORE,
        "            state.service.orders.let_wait(refund, kept)",
        "            pass",
        WRITES,
    ),
)
