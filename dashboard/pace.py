"""Refresh intervals of pages, which grow with the number of readers to limit CPU use."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import ParamSpec
from uuid import uuid4

import streamlit as st
from attrs import define, field

P = ParamSpec("P")

SHARE = 0.4
"""Maximum share of one CPU core for all drawing together; sending takes about as much again."""

AWAY = 3.0
"""Number of refresh intervals after which a silent reader no longer counts."""

_WAIT = """
export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(parentElement.waiting)
  window.tocsinDrawn = Date.now()
  let asked = 0
  const again = async () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", again, { once: true })
      return
    }
    const app = document.querySelector("[data-testid=stApp]")?.dataset
    parentElement.waiting = setTimeout(again, 1500 * data.seconds + 1500)
    // A refresh is in progress, unless its server has ended meanwhile.
    if (app?.testScriptState === "running" && app.testConnectionState === "CONNECTED") return
    if (asked === 2) {
      const health = window.__streamlit.BACKEND_BASE_URL + "/_stcore/health"
      if (await fetch(health).then((answer) => answer.ok, () => false)) location.reload()
      asked = 0
    }
    asked += 1
    setTriggerValue("again", true)
  }
  parentElement.waiting = setTimeout(again, 1000 * data.seconds)
  return () => clearTimeout(parentElement.waiting)
}
"""
"""Browser code that requests the next refresh after ``seconds``, and repeats the request if it has
no effect, as while the connection is lost. After two requests without effect it reloads the page
if the server answers: a server that restarted during the page's first run does not know the page.
"""


@define
class _Drawn:
    """Mean cost, minimum interval, and the time until which a part of a page counts."""

    cost: float
    least: float
    until: float = 0.0


@define
class Pace:
    """The cost of drawing, by reader and part of a page.

    Times are monotonic seconds; costs are CPU seconds.
    """

    _drawn: dict[object, _Drawn] = field(factory=dict)
    _lock: Lock = field(factory=Lock)

    def drawn(self, what: object, cost: float, least: float, now: float) -> float:
        """Record that a part of a page was drawn.

        Args:
            what: the reader and the part.
            cost: CPU seconds of this drawing.
            least: seconds between two refreshes while the load is low.
            now: the time.

        Returns:
            Seconds until the next refresh: ``least``, multiplied by the factor by which the load
            of all readers exceeds :data:`SHARE`.
        """
        with self._lock:
            before = self._drawn.get(what)
            mean = cost if before is None else 0.5 * (before.cost + cost)
            self._drawn[what] = mine = _Drawn(mean, least, now)
            for gone in [w for w, drawn in self._drawn.items() if drawn.until < now]:
                del self._drawn[gone]
            load = sum(drawn.cost / drawn.least for drawn in self._drawn.values())
            wait = least * max(1.0, load / SHARE)
            mine.until = now + AWAY * wait + 10
        return wait


@st.cache_resource
def _pace() -> Pace:
    return Pace()


@st.cache_resource
def _again() -> Callable[..., object]:
    return st.components.v2.component("tocsin_again", js=_WAIT)


def live(least: float) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorate a part of a page that is redrawn every ``least`` seconds or less often.

    Streamlit's own ``run_every`` requests the next run before the previous one is finished, and at
    the same rate whatever a run costs: with many readers no page would ever be drawn completely.
    Here the browser waits after each run, and requests none while its tab is hidden.
    """

    def decorate(draw: Callable[P, None]) -> Callable[P, None]:
        name = f"{draw.__module__}.{draw.__qualname__}"

        @st.fragment
        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
            began = time.thread_time()
            try:
                draw(*args, **kwargs)
            except Exception:
                _wait(name, began, least)
                raise
            _wait(name, began, least)

        return drawn

    return decorate


def _wait(name: str, began: float, least: float) -> None:
    """Make the browser request the next refresh."""
    reader = st.session_state.setdefault("_reader_id", uuid4().hex)
    cost = time.thread_time() - began
    seconds = _pace().drawn((reader, name), cost, least, time.monotonic())
    _again()(
        key=f"again-{name}", data={"seconds": seconds, "drawn": time.time()}, width=1, height=1,
        on_again_change=lambda: None,
    )  # fmt: skip
