"""House rules, held by a machine: who may import whom, sizes, purity, docstrings, nothing foreign in a file.

A module that is new has to be given its place in GROUPS; the table is the drawing of docs/engine.md in code.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "streams", "verify", "dashboards", "backtest", "tests")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

# Each module's place, in words of the module names; a name with a dot at its end stands for a package.
GROUPS: dict[str, tuple[str, ...]] = {
    "schemas": ("schemas", "schemas."),
    "base": (
        "streams",
        *(f"streams.{name}" for name in "allocator collector errors options settings".split()),
    ),
    "kpi": ("streams.kpi", "streams.formula", "streams.scopes"),
    "catalogue": ("streams.catalogue", "streams.figures", "streams.figures.", "streams.kpis"),
    "core": tuple(
        f"streams.{name}"
        for name in (
            "batch window memory_bounds packed_ids identity verdict ledger refunds sums admission "
            "commission reasons booking order_entries attribution deliveries ads orders payments "
            "after_purchase fold steps funnel users rooms products live_starts redirects signs "
            "order_service story progress stored_ids trimming story_books returns arrivals state"
        ).split()
    ),
    "drops": ("streams.cohorts", "streams.baselines", "streams.gateways"),
    "store": tuple(
        f"streams.{name}" for name in "marks write_plan stored_meta together store generations".split()
    ),
    "owner": tuple(f"streams.{name}" for name in "log_check watermark outlet work asking owner".split()),
    "worker": (
        "streams.raw_records",
        "streams.transport",
        "streams.fleet",
        "streams.agents",
        "streams.worker",
    ),
    "read": tuple(
        f"streams.{name}"
        for name in (
            "requests answer subjects pane_memory answer_body trust read_call read_store reading users_range "
            "finals statements aged virality sheet since stock details read_model series gathered "
            "shared_reading comparison past_lives room_facts room_view ranking survey samples room_gauges "
            "changes reason_view reason_gauges uplift guardrails stops redirection days returns_table "
            "redirect_gauges refund_gauges shortfall underperforming stock_list earners creators channels"
        ).split()
    ),
    "watch": tuple(
        f"streams.{name}"
        for name in (
            "causes cause_slices drops judgement lasting usual_sales watch watch_figures watch_scopes "
            "watch_tables"
        ).split()
    ),
    "shown": ("streams.exporter", "streams.read_ahead", "streams.web", "streams.web."),
    "rebuild": ("streams.catch_up", "streams.rebuild"),
    "log": ("streams.kafka_log", "streams.topics"),
    "sources": ("streams.sources", "streams.sources.", "streams.canary"),
    "letters": ("streams.dead_letters",),
    "local": ("streams.local", "streams.local."),
    "workers": ("streams.workers",),
    "main": ("streams.__main__",),
    "verify": ("verify", "verify."),
    "dashboards": ("dashboards", "dashboards."),
    "backtest": ("backtest", "backtest."),
    "tests": ("tests", "tests."),
}
PURE = ("schemas", "kpi", "catalogue", "core", "drops")

# What a group may import beside itself. Imports point one way: no two groups name each other.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "schemas": (),
    "base": ("schemas",),
    "kpi": ("schemas",),
    "catalogue": ("schemas", "kpi"),
    "core": ("schemas", "kpi", "catalogue"),
    "drops": ("catalogue", "kpi"),
    "store": (*PURE, "base"),
    "owner": (*PURE, "base", "store"),
    "worker": (*PURE, "base", "store", "owner", "log"),
    "rebuild": (*PURE, "base", "store", "owner", "worker", "log"),
    "read": (*PURE, "base", "store"),
    "watch": (*PURE, "base", "store", "read"),
    "shown": (*PURE, "base", "store", "read", "watch"),
    "log": ("schemas", "base"),
    "sources": ("schemas", "base", "log"),
    "letters": ("schemas", "base", "log", "sources"),
    "local": ("base",),
    "workers": ("base", "worker", "local"),
    "main": ("base",),
    "verify": ("schemas",),
    "dashboards": (*PURE, "base"),
    "backtest": (*PURE, "base", "dashboards", "local"),
    "tests": (),
}
# `verify` is a second opinion: of schemas it may use only what shares no rule with the fast decoder.
SECOND_OPINION = {"schemas.plain", "schemas.plain_tables", "schemas.partitioning", "schemas.verdicts"}

ONLY_IN = {
    "faust": {"streams.transport", "streams.agents"},
    "mode": {"streams.transport", "streams.agents"},
    "redis": {"streams.store", "verify.redis_cells"},
    "prometheus_client": {"streams.exporter"},
    "grafana_foundation_sdk": {"dashboards.grafana_build"},
}
IMPURE = frozenset(
    """asyncio concurrent datetime io logging multiprocessing os pathlib random requests secrets select shutil
    signal socket subprocess sys tempfile threading time uuid urllib http aiohttp aiokafka""".split()
)
IMPURE_CALLS = frozenset({"open", "print", "input", "eval", "exec", "breakpoint"})


@cache
def _files() -> tuple[Path, ...]:
    """Every file of the project: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(ROOT / name for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file())


@cache
def _modules() -> dict[str, Path]:
    """The Python files of our packages by module name."""
    modules = {}
    for path in _files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.suffix == ".py" and parts[0] in PACKAGES:
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


@cache
def _parsed(name: str) -> ast.Module:
    """A module's syntax tree: only where a test asks, not in each process that merely collects the tests."""
    return ast.parse(_modules()[name].read_text())


def _imports(name: str) -> set[str]:
    """What a module imports, anywhere in it; of our own packages the module, not the name in it."""
    found = set()
    for node in ast.walk(_parsed(name)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            inner = {f"{module}.{each.name}" for each in node.names} & _modules().keys()
            found |= inner or {module}
    return found


def _group(name: str) -> str | None:
    for group, members in GROUPS.items():
        if any(name == each or (each.endswith(".") and name.startswith(each)) for each in members):
            return group
    return None


def _ours() -> list[str]:
    """Our modules but the tests."""
    return [name for name in _modules() if not name.startswith("tests")]


def test_every_module_has_its_place() -> None:
    """A new module is given a place in GROUPS before anything else."""
    assert [name for name in _modules() if _group(name) is None] == []


@pytest.mark.parametrize("name", _ours())
def test_imports_point_one_way(name: str) -> None:
    """A module imports its own group and those that MAY_IMPORT names, nothing else of ours."""
    group = _group(name)
    assert group is not None
    allowed = {group, *MAY_IMPORT[group]}
    ours = {each for each in _imports(name) if each.split(".")[0] in PACKAGES}
    assert {each for each in ours if _group(each) not in allowed} == set()


def test_imports_make_no_circle() -> None:
    """Also within a group: each module can be understood without those that use it."""
    TopologicalSorter({name: _imports(name) & set(_ours()) for name in _ours()}).prepare()


def test_verify_shares_no_rule_with_the_pipeline() -> None:
    """Of our packages `verify` uses itself and the plain decoder, which uses no module of the fast one."""
    used = {each for name in _ours() if _group(name) == "verify" for each in _imports(name)}
    assert {each for each in used if each.startswith("schemas")} <= SECOND_OPINION
    assert {each for each in used if each.startswith("streams")} == set()


@pytest.mark.parametrize("library", list(ONLY_IN))
def test_a_library_is_known_to_few(library: str) -> None:
    """Faust, Redis and Prometheus are named where they are meant to be, and can be replaced there."""
    users = {name for name in _ours() if any(each.split(".")[0] == library for each in _imports(name))}
    assert users <= ONLY_IN[library]


@pytest.mark.parametrize("name", [name for name in _ours() if _group(name) in PURE])
def test_the_pure_core_is_pure(name: str) -> None:
    """What decides figures has no clock, randomness, input, output or event loop: it can be replayed."""
    assert {each for each in _imports(name) if each.split(".")[0] in IMPURE} == set()
    calls = {
        node.func.id
        for node in ast.walk(_parsed(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & IMPURE_CALLS == set()


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("name", list(_modules()))
def test_modules_and_functions_are_small(name: str) -> None:
    """A reader can hold a module, and see a function whole."""
    assert len(_modules()[name].read_text().splitlines()) < MAX_MODULE_LINES
    sizes = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in _functions(_parsed(name))}
    assert {each: size for each, size in sizes.items() if size >= MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("name", list(_modules()))
def test_modules_and_tests_say_what_they_are_for(name: str) -> None:
    """Every module says its purpose first; every test states the fact it holds."""
    tree = _parsed(name)
    assert ast.get_docstring(tree)
    tests = (each for each in _functions(tree) if each.name.startswith("test_"))
    assert [each.name for each in tests if not ast.get_docstring(each)] == []


@pytest.mark.parametrize("name", list(_modules()))
def test_no_exception_is_swallowed(name: str) -> None:
    """No bare `except`, and none that does nothing about what it caught."""
    handlers = (node for node in ast.walk(_parsed(name)) if isinstance(node, ast.ExceptHandler))
    silent = [
        node.lineno
        for node in handlers
        if node.type is None or all(isinstance(each, ast.Pass) for each in node.body)
    ]
    assert silent == []


# Put together here, so that this file does not hold them itself.
FOREIGN = {
    "a path of one machine": r"(?<![\w.*~/:-])/(?:"
    + "|".join(("work", "tmp", "home", "root", "opt"))
    + r")/\w",
    "a package registry's host": "|".join(
        (r"pypi\." + "org", "python" + "hosted", r"repo1?\.maven", r"npmjs\." + "org", r"crates\." + "io")
    ),
    "work left for later": r"\b(?:TO" + "DO|FIX" + r"ME|XX" + r"X)\b",
    "a test that does not count": r"\bpytest\.(?:mark\.)?(?:sk" + "ip|xf" + "ail|imports" + "kip)",
}


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_no_file_holds(kind: str) -> None:
    """What is committed holds for every machine, and is finished."""
    pattern = re.compile(FOREIGN[kind])
    found = []
    for path in _files():
        content = path.read_bytes()
        if b"\0" not in content:  # text
            lines = content.decode(errors="replace").splitlines()
            found += [
                f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if pattern.search(line)
            ]
    assert found == []


def test_the_lock_pins_everything_by_hash_and_names_no_address() -> None:
    """`make setup` gets the same bytes everywhere, from wherever a machine gets its packages."""
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and not re.search(r"^\s*-(?!-hash=sha256:)", lock, re.MULTILINE)
    pins = re.findall(r"^([a-z0-9.-]+)==\S+ \\\n    --hash=", lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {re.split(r"[\[<>=]", each)[0].replace(".", "-") for each in wanted} <= set(pins)


def test_coverage_is_asked_of_the_whole_pure_core() -> None:
    """No module that decides figures stands outside of the coverage that `make test` asks for."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    asked = tool["coverage"]["run"]["include"]
    files = {path.relative_to(ROOT).as_posix() for path in _files()}
    core = [
        path if (path := name.replace(".", "/") + ".py") in files else path.replace(".py", "/__init__.py")
        for name in _ours()
        if _group(name) in PURE and "." in name
    ]
    assert [path for path in core if not any(fnmatch(path, each) for each in asked)] == []
    assert tool["coverage"]["report"]["fail_under"] >= 95
