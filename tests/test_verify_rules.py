"""verify.rules: the oracle's own reading of the settings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import verify
from streams.settings import Settings
from verify import VerifyError
from verify.rules import Rules, rules_from


def test_defaults_are_those_of_the_pipeline() -> None:
    """Written down twice, equal: every number of Rules has the default of the setting of its name."""
    settings = Settings()
    differing = {
        name: (value, getattr(settings, name))
        for name, value in vars(Rules()).items()
        if name != "platforms" and value != getattr(settings, name)
    }
    assert differing == {}
    assert Rules().platforms == frozenset(settings.platforms)


def test_environment_changes_rules() -> None:
    """SHOP_PULSE_* names are read; others are nobody's business here."""
    rules = rules_from(
        {"SHOP_PULSE_TRAFFIC_LATENESS_MS": "60000", "SHOP_PULSE_PLATFORMS": "a, b,", "HOME": "/nowhere"}
    )
    assert rules == Rules(traffic_lateness_ms=60_000, platforms=frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("SHOP_PULSE_RETENTION_1H_MS", "1h"), ("SHOP_PULSE_PARTITIONS", "-4"), ("SHOP_PULSE_FIGURES", "some")],
)
def test_wrong_values_are_named(name: str, value: str) -> None:
    """A value that can't be used is one line with the variable's name."""
    with pytest.raises(VerifyError, match=name) as caught:
        rules_from({name: value})
    assert "\n" not in caught.value.message


def test_nothing_of_the_pipeline_is_imported() -> None:
    """What the comparison is worth: verify imports nothing from streams, and three modules of schemas."""
    allowed = {"schemas.plain", "schemas.verdicts", "schemas.partitioning"}
    folder = Path(verify.__file__).parent
    imported = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
    assert {name for name in imported if name.split(".")[0] in ("streams", "schemas")} <= allowed
