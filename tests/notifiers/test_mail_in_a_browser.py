"""The HTML of a mail in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from playwright.sync_api import Page

from tests.dashboard.browser import chromium
from tocsin import Kind, Message, Status, TargetStatus
from tocsin.core.testing.alerting import NASTY
from tocsin.plugins.notifiers.email.compose import compose
from tocsin.testing import message_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


def html_of(message: Message) -> str:
    body = compose(message, "tocsin@example.org", ["ops@example.org"]).get_body(("html",))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("width", [390, 800])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("case", ["fired", "resolved", "storm", "hostile"])
def test_a_mail_fits_its_window(browser: Any, width: int, scheme: Any, case: str) -> None:
    """On a phone and on a desk, light and dark: no sideways scrolling, nothing of strangers
    runs, what is dark on light, or light on dark, can be read, and labels stand back."""
    message = message_of(Kind.RESOLVED if case == "resolved" else Kind.FIRED)
    if case == "storm":
        message = message_of(*[Kind.FIRED] * 40, target="a-rather-long-name-of-a-service-" * 3)
    if case == "hostile":
        name = "<img src=x onerror=window.hit=1>" + "w" * 90
        message = message_of(text="<script>window.hit=1</script>" + NASTY, target=name)
        bad = TargetStatus(target=name, kind="x", status=Status.DOWN, message="m" * 500)
        message = evolve(message, system=(bad,))
    page: Page = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page.set_content(html_of(message))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.hit") is None
    text, back, soft = page.evaluate(
        "() => { const of = x => getComputedStyle(document.querySelector(x));"
        " const s = of('.card'); return [s.color, s.backgroundColor, of('td.soft').color].map("
        "   x => x.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)) }"
    )
    assert abs(text - back) > 400
    assert (text > back) is (scheme == "dark")
    assert 200 < abs(soft - back) < abs(text - back)  # labels stand back, and can be read
    page.close()
