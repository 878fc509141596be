"""Settings: what the environment may say, and what is said about it when it is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from streams import settings
from streams.errors import PulseError
from streams.settings import Settings
from streams.worker import rules_of

REFERENCE = Path(__file__).parents[1] / "docs" / "settings.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    assert settings.load({}) == Settings()
    assert settings.given({}) == frozenset()


def test_other_names_are_left_alone() -> None:
    """Only SHOP_PULSE_* is ours."""
    assert settings.load({"KAFKA": "x:1", "SHOP_PULS": "x", "PATH": "/bin"}) == Settings()


def test_values_are_parsed_into_the_type_of_their_field() -> None:
    """Text stays text, numbers become int, lists become tuples, in order and without the spaces around."""
    environ = {
        "SHOP_PULSE_KAFKA": "a:1,b:2",
        "SHOP_PULSE_PARTITIONS": "12",
        "SHOP_PULSE_PLATFORMS": "tiktok, douyin",
        "SHOP_PULSE_TOKEN": "",
    }
    loaded = settings.load(environ)
    assert (loaded.kafka, loaded.partitions, loaded.platforms) == ("a:1,b:2", 12, ("tiktok", "douyin"))
    assert settings.given(environ) == {"kafka", "partitions", "platforms", "token"}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SHOP_PULSE_KAFKAS", "SHOP_PULSE_KAFKA"),
        ("SHOP_PULSE_FLUSH_INTERVAL", "SHOP_PULSE_FLUSH_INTERVAL_MS"),
        ("SHOP_PULSE_port", "SHOP_PULSE_API_PORT"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name: str, nearest: str) -> None:
    """A typing error is found at once."""
    with pytest.raises(PulseError) as raised:
        settings.load({name: "1"})
    assert str(raised.value).startswith(f"{name} is not a setting; did you mean {nearest}?")


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("PARTITIONS", "0", "a whole number from 1 to"),
        ("PARTITIONS", "", "a whole number"),
        ("PARTITIONS", "four", "a whole number"),
        ("PARTITIONS", "1_0", "a whole number"),
        ("PARTITIONS", " 4", "a whole number"),
        ("PARTITIONS", "٤", "a whole number"),
        ("API_PORT", "65536", "from 0 to 65535"),
        ("API_PORT", "-1", "from 0 to 65535"),
        ("FIGURES", "none", "one of all, funnel-gmv"),
        ("PLATFORMS", "tiktok,,douyin", "names separated by commas"),
        ("PLATFORMS", "", "names separated by commas"),
    ],
)
def test_a_value_that_cannot_be_meant_is_an_error_in_one_line(name: str, value: str, hint: str) -> None:
    """The line names the variable, its value and what it may be."""
    with pytest.raises(PulseError) as raised:
        settings.load({f"SHOP_PULSE_{name}": value})
    line = str(raised.value)
    assert line.startswith(f"SHOP_PULSE_{name} is {value!r}: give ") and hint in line and "\n" not in line


def test_the_secret_is_not_shown() -> None:
    """Settings may be logged: the token does not stand in their repr."""
    assert "hunter2" not in repr(settings.load({"SHOP_PULSE_TOKEN": "hunter2"}))


def test_the_reference_page_is_what_the_code_says() -> None:
    """Every setting stands in docs/settings.md as it is; `python -m streams.settings` writes the page."""
    assert REFERENCE.read_text() == settings.reference()
    for each in dataclasses.fields(Settings):
        assert f"`SHOP_PULSE_{each.name.upper()}`" in settings.reference()
        assert each.metadata["doc"]


@pytest.mark.parametrize("servers", ["", "foo", "foo:bar", ":9092", "a:1,b", "[::1", "a:0", "a:65536"])
def test_a_kafka_address_that_no_client_can_use_is_one_line(servers: str) -> None:
    """It is said where settings are read, not by a client in fifty lines."""
    with pytest.raises(PulseError, match=r"SHOP_PULSE_KAFKA has .*: give host:port"):
        settings.load({"SHOP_PULSE_KAFKA": servers})


@pytest.mark.parametrize("url", ["", "localhost", "http://localhost:6379", "redis://h:abc", "redis://h:0"])
def test_a_redis_url_that_no_client_can_use_is_one_line(url: str) -> None:
    """The same for Redis."""
    with pytest.raises(PulseError, match="SHOP_PULSE_REDIS is no URL of a Redis"):
        settings.load({"SHOP_PULSE_REDIS": url})


@pytest.mark.parametrize(
    ("kafka", "redis"), [("a:1,b.c:2", "rediss://u:p@h:1/2"), ("[::1]:9092", "unix:///run/redis.sock")]
)
def test_addresses_in_all_forms_that_clients_take(kafka: str, redis: str) -> None:
    """Several brokers, IPv6, TLS, sockets."""
    found = settings.load({"SHOP_PULSE_KAFKA": kafka, "SHOP_PULSE_REDIS": redis})
    assert (found.kafka, found.redis) == (kafka, redis)


@pytest.mark.parametrize(
    ("contradiction", "said"),
    [({"order_horizon_days": 15}, "give at least 16"), ({"unknown_order_wait_ms": 604_800_001}, "lower")],
)
def test_settings_that_would_count_money_twice_are_refused(contradiction: dict[str, int], said: str) -> None:
    """An order must be remembered while it can be repeated, a refund's id while the refund waits."""
    with pytest.raises(PulseError, match=said):
        rules_of(Settings(**contradiction))  # type: ignore[arg-type]
