"""Host tokens and the command that makes them: what they open, for how long, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from streams.answer import QuestionError, parse_scope
from streams.errors import PulseError
from streams.scopes import NO_NAMES, OTHER, SCOPES
from streams.web.access import live_of
from streams.web.host_token import MAX_MS, MIN_MS, HostTokens
from streams.web.host_view import for_host
from streams.web.token_command import command, length_ms

NOW_MS = 1_785_931_200_123
HOUR_MS = 3_600_000
TOKENS = HostTokens("s3cret-ü")


@given(live_id=st.text(min_size=1, max_size=64), expires_s=st.integers(0, 2**32 - 1))
def test_a_token_says_what_was_put_into_it(live_id: str, expires_s: int) -> None:
    """Any id and time: 32 characters that need no escaping, read back as they were made."""
    text = TOKENS.make(live_id, expires_s * 1_000 + 999)
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", text)
    token = TOKENS.read(text)
    assert token is not None
    assert token.expires_ms == expires_s * 1_000
    assert TOKENS.is_for(token, live_id)


@given(first=st.text(max_size=64), second=st.text(max_size=64))
def test_a_token_is_for_one_live(first: str, second: str) -> None:
    """Two ids share a token only if they are the same, to the code point."""
    token = TOKENS.read(TOKENS.make(first, NOW_MS))
    assert token is not None
    assert TOKENS.is_for(token, second) == (first == second)


def test_no_character_of_a_token_can_be_changed() -> None:
    """Each character is signed, the expiry above all; there is one way to write a token."""
    text = TOKENS.make("L1", NOW_MS)
    for at, character in enumerate(text):
        for other in "AB_z":
            if other != character:
                assert TOKENS.read(text[:at] + other + text[at + 1 :]) is None
    for changed in ("", text[:-1], text + "A", text + "=", f" {text}", f"{text}\n", text.replace("-", "+")):
        assert changed == text or TOKENS.read(changed) is None


def test_another_service_token_ends_all_links() -> None:
    """The keys follow from SHOP_PULSE_TOKEN alone, whatever it is made of."""
    text = TOKENS.make("L1", NOW_MS)
    assert HostTokens("s3cret-u").read(text) is None
    assert HostTokens("s3cret-ü").read(text) is not None
    assert HostTokens("\udcff").read(HostTokens("\udcff").make("L1", NOW_MS)) is not None
    with pytest.raises(ValueError, match="no key"):
        HostTokens("")


_PARTS = (
    "live",
    "product",
    "creator",
    ":",
    ",",
    "other",
    "L1",
    "1:",
    "2:ab",
    "all",
    "-1:",
    "٣:",
    " ",
    "\ud800",
)


@given(scope=st.text(max_size=80) | st.lists(st.sampled_from(_PARTS), max_size=9).map("".join))
def test_any_scope_is_of_one_live_or_of_none(scope: str) -> None:
    """Whatever is asked, reading it never fails; and only what begins with a live is of one."""
    live_id = live_of(scope, SCOPES)
    assert live_id is None or scope == f"live:{live_id}" or scope.startswith(f"live:{live_id},product:")


@pytest.mark.parametrize("kind", list(SCOPES))
@pytest.mark.parametrize("value", sorted(NO_NAMES))
def test_what_is_nobodys_is_of_no_live(kind: str, value: str) -> None:
    """`other` and `unattributed` of any kind can be asked for by the operator, and are nobody's own."""
    try:
        parse_scope(f"{kind}:{value}", SCOPES)
    except QuestionError:
        assert kind == "all" or ("," in kind and value != OTHER)
    assert live_of(f"{kind}:{value}", SCOPES) is None


def test_a_host_is_shown_no_figure_of_the_shop() -> None:
    """At any depth `quality` is null and a currency stands only where the answer has an amount in it; what
    was given stays whole."""
    part = {"quality": {"accepted": 9}, "money": {"EUR": {"aov_minor": None}, "USD": {"gmv_net_minor": 0}}}
    sold = {"money": {"EUR": {"gmv_net_minor": 0}, "USD": {"gmv_net_minor": -1}}}
    answer = {
        "now": part,
        "since_start": sold,
        "products": [{"gmv_paid_minor": {"EUR": 0, "USD": 0}}, {"gmv_paid_minor": None}],
        "figures": {"orders": [0, 1], "money.EUR.gmv_paid_minor": [0, None], "money.USD.gmv_paid_minor": [0]},
    }
    before = json.dumps(answer)
    assert for_host(answer) == {
        "now": {"quality": None, "money": {"USD": {"gmv_net_minor": 0}}},
        "since_start": {"money": {"USD": {"gmv_net_minor": -1}}},
        "products": [{"gmv_paid_minor": {"USD": 0}}, {"gmv_paid_minor": None}],
        "figures": {"orders": [0, 1], "money.USD.gmv_paid_minor": [0]},
    }
    assert json.dumps(answer) == before


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("1m", MIN_MS), ("30m", HOUR_MS // 2), ("4h", 4 * HOUR_MS), ("2d", 48 * HOUR_MS), ("7d", MAX_MS)],
)
def test_a_duration_has_a_unit(text: str, expected_ms: int) -> None:
    """Minutes, hours, days, up to a week."""
    assert length_ms(text) == expected_ms


@pytest.mark.parametrize(
    "text",
    ["", "4", "h", "0m", "8d", "169h", "-1h", "1.5h", "4 h", "4H", "1h30m", "nan", "inf", "٤h", "9999999m"],
)
def test_another_duration_is_one_line(text: str) -> None:
    """It says what was given and what may be."""
    with pytest.raises(PulseError, match="from 1m to 7d") as caught:
        length_ms(text)
    assert "\n" not in str(caught.value)


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder without a pulse, a token, and a clock that stands still."""
    monkeypatch.setenv("SHOP_PULSE_TOKEN", "s3cret-ü")
    monkeypatch.setenv("SHOP_PULSE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
    return tmp_path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["--for", "4h", *arguments])


def _refused(*arguments: str) -> str:
    """The line of the refusal."""
    result = _run(*arguments)
    assert isinstance(result.exception, PulseError), result
    assert (result.output, "\n" in str(result.exception)) == ("", False)
    return str(result.exception)


def test_the_command_prints_a_link() -> None:
    """One line, the token behind the #; as JSON the same with its parts."""
    result = _run("--live", "L1")
    link, _, token = result.output.removesuffix("\n").partition("#token=")
    assert (result.exit_code, link) == (0, "http://127.0.0.1:8080/live/L1")
    expires_ms = NOW_MS // 1_000 * 1_000 + 4 * HOUR_MS
    read = TOKENS.read(token)
    assert read is not None and TOKENS.is_for(read, "L1") and read.expires_ms == expires_ms
    answer = json.loads(_run("--live", "L1", "--json").output)
    expected = {"live": "L1", "token": token, "expires_ms": expires_ms, "url": f"{link}#token={token}"}
    assert answer == expected


@pytest.mark.parametrize(
    "live_id", ["a/b", "100%", "50%2F", "a:b", "A,product:p", "a b", "?#&+", "直播间-ü", "\n"]
)
def test_any_id_fits_into_the_link(live_id: str) -> None:
    """It is escaped as one part of the path, and comes back whole."""
    link = _run("--live", live_id).output.partition("#")[0]
    last = link.rpartition("/")[2]
    assert unquote(last) == live_id
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", last)


@pytest.mark.parametrize("live_id", ["", "x" * 65, ".", ".."])
def test_an_id_that_no_link_can_hold_is_one_line(live_id: str) -> None:
    """Nothing, more than an id may have, and what browsers cut out of addresses."""
    assert "--live" in _refused("--live", live_id)


def test_the_address_is_that_of_the_running_pulse(
    fresh_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--url first, then what `up` wrote down, then the settings."""
    monkeypatch.setenv("SHOP_PULSE_API_PORT", "9")
    monkeypatch.setenv("SHOP_PULSE_API_HOST", "::1")
    assert _run("--live", "L").output.startswith("http://[::1]:9/live/L#")
    (fresh_settings / "up.json").write_text('{"api": "http://127.0.0.1:4711"}')
    assert _run("--live", "L").output.startswith("http://127.0.0.1:4711/live/L#")
    given_url = _run("--live", "L", "--url", "https://pulse.example.com:8443/shop/")
    assert given_url.output.startswith("https://pulse.example.com:8443/shop/live/L#")
    (fresh_settings / "up.json").write_text("{}")
    assert "give --url" in _refused("--live", "L")


@pytest.mark.parametrize(
    "url",
    [
        *("", "pulse.example.com", "ftp://x", "https://", "https://x:0", "https://x:99999", "https://u:p@x"),
        *("https://x?a", "https://x/#token=a", "https://x y", "https://[::1", "javascript:alert(1)"),
    ],
)
def test_another_address_is_one_line(url: str) -> None:
    """Only what a link can begin with."""
    assert "--url" in _refused("--live", "L1", "--url", url)


@pytest.mark.parametrize(("name", "value"), [("API_HOST", "0.0.0.0"), ("API_HOST", "::"), ("API_PORT", "0")])
def test_settings_that_name_no_address_are_one_line(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to "every address" or "any port" leads nowhere."""
    monkeypatch.setenv(f"SHOP_PULSE_{name}", value)
    assert "give --url" in _refused("--live", "L1")


def test_without_a_service_token_there_are_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which setting is missing."""
    monkeypatch.delenv("SHOP_PULSE_TOKEN")
    assert "SHOP_PULSE_TOKEN" in _refused("--live", "L1")
