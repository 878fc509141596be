"""`make screenshots`: what `make run` shows after a quarter of an hour, as pictures of the pages."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click
from playwright.sync_api import Browser, Page, sync_playwright

from streams.errors import PulseError
from tests.browser.figures import gmv, is_current, wait_for
from tests.browser.stack import RunningPulse, launch

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# For curves, and for what stands beside the minutes before; then until a live has so many orders.
BEFORE_S = 900
SALES = 25
PATIENCE_S = 900.0


def take(browser: Browser, pulse: RunningPulse, folder: Path) -> list[Path]:
    """Writes the pictures; their paths."""
    live_id = pulse.wait_for_sales(SALES, PATIENCE_S)
    sold_minor = max(gmv(pulse.ask(f"/api/v1/lives/{live_id}")["since_start"]).values())
    goal = str((sold_minor * 3 // 2 // 100_000 + 1) * 1_000)
    views = {
        "live": (f"/live/{live_id}", {"viewport": {"width": 1280, "height": 1280}}),
        "live-phone": (
            f"/live/{live_id}",
            {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
        ),
        "live-obs": (f"/live/{live_id}?view=obs&hide=money", {"viewport": {"width": 1280, "height": 150}}),
        "control": ("/", {"viewport": {"width": 1280, "height": 1400}}),
    }
    taken = []
    for name, (path, options) in views.items():
        page = browser.new_page(**options)  # type: ignore[arg-type]
        page.goto(pulse.url + path)
        is_current(page)
        _fill(page, name, goal)
        taken.append(folder / f"{name}.png")
        page.screenshot(path=taken[-1], omit_background=name == "live-obs")
        page.close()
    return taken


def _fill(page: Page, name: str, goal: str) -> None:
    """Waits for what comes after the first figures, and sets a goal as a host would."""
    if name == "control":
        wait_for(page, lambda: page.locator("#lives > li").count() > 0, "lives")
    elif name == "live":
        page.get_by_label("Sales to reach in this live").fill(goal)
        page.get_by_role("button", name="Set goal").click()
        page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
    page.wait_for_timeout(1_500)


@click.command()
def command() -> None:
    """Take the pictures of the README anew."""
    try:
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            browser = launch(playwright)
            pulse = RunningPulse(Path(folder) / "data")
            pulse.start()
            try:
                time.sleep(BEFORE_S)
                IMAGES.mkdir(exist_ok=True)
                for path in take(browser, pulse, IMAGES):
                    click.echo(f"{path.relative_to(IMAGES.parents[1])}: {path.stat().st_size // 1024} KiB")
            finally:
                pulse.stop()
                browser.close()
    except PulseError as error:
        sys.exit(f"screenshots: {error}")


if __name__ == "__main__":
    command()
