"""``make screenshots``: pictures of every page, for the README and to be looked at.

Beside the trade system on a real engine, with a plausible month of history: light, dark and as wide
as a phone, into ``docs/images``. Needs the engine, the images of the example, and Chromium.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.dashboard.browser import launch, settled
from tests.dashboard.past import HABITS, fill
from tests.running import Running, free_port
from tests.tradestack import NAMES, docker, stood_up
from tocsin.core.clock import SystemClock
from tocsin.plugins.history.embedded import EmbeddedPostgres
from tocsin.plugins.history.store import Store

IMAGES = Path(__file__).parents[2] / "docs/images"
LARGEST = 300_000
"""Bytes of a picture."""

PAGES = {
    "overview": "/",
    "target": "/target?name=vector-db",
    "alerts": "/alerts",
    "why-notified": "/alerts?view=Why+notified%2C+why+not",
    "history": "/history?span=7d",
    "system": "/system",
}
LOOKS: dict[str, tuple[int, Literal["light", "dark"]]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "phone": (390, "light"),
}
QUICK = '\n[rules.container_down]\nfor = "1s"\n'


async def remember(dsn: str, directory: Path) -> None:
    """Write the month that lies behind, up to a few minutes ago."""
    store = Store(dsn, directory / "spool", clock=SystemClock())
    await store.start()
    await fill(store, datetime.now(UTC) - timedelta(minutes=2), 30, HABITS)
    await store.close()


@contextmanager
def watched() -> Iterator[str]:
    """The dashboard of a tocsin beside the trade system; gives its address."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-pictures-"))
    server, port = EmbeddedPostgres(), free_port()
    dsn = asyncio.run(server.start(directory / "pg"))
    asyncio.run(remember(dsn, directory))
    with stood_up() as config:
        text = config + QUICK + f"[services.dashboard]\nport = {port}\n"
        env = {"DATABASE_URL": dsn, "MONITOR_INTERVAL": "5"}
        with Running(directory, text, env, dashboard=True) as running:

            def seen() -> bool:
                items = running.get("/api/v1/containers?limit=1000")["items"]
                return len([i for i in items if i["name"] in NAMES and i["status"] == "up"]) == 13

            running.until(seen, 120)
            docker("kill", "streamlit")
            docker("pause", "economic-calendar")
            try:
                running.until(lambda: running.get("/api/v1/alerts/active")["items"], 60)
                yield f"http://127.0.0.1:{port}"
            finally:
                docker("unpause", "economic-calendar")
                docker("start", "streamlit")
    asyncio.run(server.stop())


def take(browser: Browser, url: str, page_name: str, look: str) -> None:
    """One picture of a whole page."""
    width, scheme = LOOKS[look]
    context = browser.new_context(
        viewport={"width": width, "height": 860}, color_scheme=scheme, timezone_id="Europe/Berlin"
    )
    page = context.new_page()
    page.goto(url + PAGES[page_name])
    settled(page)
    page.wait_for_timeout(4000)  # a picture asserts nothing; charts ease in
    # A page scrolls inside its frame: make the frame as high as the page.
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": max(600, min(int(height), 3200))})
    page.wait_for_timeout(2500)
    path = IMAGES / f"{page_name}-{look}.png"
    page.screenshot(path=path)
    context.close()
    small(path)


def small(path: Path) -> None:
    """Fewer colours, until it is small enough."""
    picture = Image.open(path).convert("RGB")
    for colours in (256, 128, 64):
        picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            return


def main() -> None:
    """Take all, or those whose names contain the argument."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with watched() as url, sync_playwright() as playwright:
        browser = launch(playwright)
        for page_name in PAGES:
            for look in LOOKS:
                if re.search(wanted, f"{page_name}-{look}"):
                    take(browser, url, page_name, look)
                    print(f"docs/images/{page_name}-{look}.png")  # noqa: T201
        browser.close()


if __name__ == "__main__":
    main()
