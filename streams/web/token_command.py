"""`shop-pulse token`: prints a livestream host's private link to the own live page.

It stands beside the read service and needs none that runs: the link is signed with SHOP_PULSE_TOKEN, so it
holds wherever the service has the same one. The token stands behind the `#`, which browsers send to nobody.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import click

from streams.answer import VALUE_CODE_POINTS_MAX
from streams.errors import PulseError
from streams.scopes import NO_NAMES
from streams.settings import PREFIX, Settings, load
from streams.web.host_token import MAX_MS, MIN_MS, HostTokens
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS

_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


@click.command()
@click.option("--live", "live_id", required=True, metavar="ID", help="The live that the link opens.")
@click.option("--for", "duration", required=True, metavar="TIME", help="How long: 30m, 4h, 2d; up to 7d.")
@click.option(
    "--url", metavar="BASE", help="Where hosts reach the read service; else as `up` says, or settings."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON: live, token, expires_ms, url.")
def command(live_id: str, duration: str, url: str | None, as_json: bool) -> None:
    """Make a host's private link to one live page.

    Whoever has the link sees this live until it expires, and nothing else. It can't be called back: another
    SHOP_PULSE_TOKEN ends all links.
    """
    settings = load()
    if not settings.token:
        raise PulseError(f"links are signed with {PREFIX}TOKEN: set it, for this command and for `serve`")
    _check_live(live_id)
    expires_ms = (time.time_ns() // 1_000_000 + length_ms(duration)) // 1_000 * 1_000
    token = HostTokens(settings.token).make(live_id, expires_ms)
    base = _base(url) if url is not None else _known_base(settings)
    link = f"{base}/live/{quote(live_id, safe='')}#token={token}"
    if as_json:
        click.echo(json.dumps({"live": live_id, "token": token, "expires_ms": expires_ms, "url": link}))
    else:
        click.echo(link)


def length_ms(duration: str) -> int:
    """Milliseconds of a duration like 30m, 4h or 2d. Raises PulseError."""
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", duration)
    taken_ms = int(found[1]) * _UNITS_MS[found[2]] if found else 0
    if not MIN_MS <= taken_ms <= MAX_MS:
        raise PulseError(f"--for {duration!r}: give a time from 1m to 7d, for example 30m, 4h or 2d")
    return taken_ms


def _check_live(live_id: str) -> None:
    """Raises PulseError for an id that no live has, or that no address can hold."""
    if not 1 <= len(live_id) <= VALUE_CODE_POINTS_MAX:
        raise PulseError(f"--live: a live's id has 1 to {VALUE_CODE_POINTS_MAX} characters")
    try:
        live_id.encode()
    except UnicodeEncodeError as error:
        raise PulseError("--live: the id is not valid UTF-8; check the terminal's encoding") from error
    if live_id in (".", ".."):
        raise PulseError(
            f"--live {live_id}: browsers cut this out of every address; give the live another id"
        )
    if live_id in NO_NAMES:
        raise PulseError(
            f"--live {live_id} is no live's name: what many lives share, or none has, is counted under it"
        )


def _base(url: str) -> str:
    """The address without its last slash. Raises PulseError if it is none that a link can begin with."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"https?://[^\s?#@]+", url):
        raise PulseError(
            f"--url {url!r}: give where the read service is reached, as https://pulse.example.com"
        )
    return url.rstrip("/")


def _known_base(settings: Settings) -> str:
    """Where the read service is: as a running `up` wrote it down, else as the settings say."""
    path = Path(settings.data_dir) / "up.json"
    try:
        return str(json.loads(path.read_text())["api"])
    except FileNotFoundError:
        return _base_of_settings(settings)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise PulseError(f"{path} says no address of the read service: give --url") from error


def _base_of_settings(settings: Settings) -> str:
    host, port = settings.api_host, settings.api_port
    if not port or host in ("", "0.0.0.0", "::"):
        raise PulseError(f"{PREFIX}API_HOST and {PREFIX}API_PORT name no single address: give --url")
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
