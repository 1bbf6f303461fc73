"""When a page is drawn again: as often as it may be, and less often the more readers there are."""

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
"""Of one core: so much may drawing take in all, since sending takes about as much again."""

AWAY = 3.0
"""So many times the seconds between two looks a reader may be silent before they count no more."""

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
    // A look is on its way; not where its server has ended meanwhile.
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
"""Asks for the next look; once more where nothing comes of it, as while the connection is lost. A
server that was started anew in the midst of a first look knows nothing of the page: it is loaded
again."""


@define
class _Drawn:
    cost: float
    least: float
    until: float = 0.0


@define
class Pace:
    """What drawing costs, by reader and part of a page. Times are monotonic seconds, costs seconds
    of CPU."""

    _drawn: dict[object, _Drawn] = field(factory=dict)
    _lock: Lock = field(factory=Lock)

    def drawn(self, what: object, cost: float, least: float, now: float) -> float:
        """Note that something was drawn.

        Args:
            what: a reader, and a part of a page.
            cost: what it cost this time.
            least: seconds between two looks while there is one reader only.
            now: the time.

        Returns:
            Seconds until it is to be drawn again: as many times ``least`` as all together would
            take more than :data:`SHARE`.
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
    """A part of a page that is drawn again and again, each ``least`` seconds or less often.

    Streamlit's own ``run_every`` asks for the next look though the one before is not done, and asks
    as often whatever it costs: with many readers no page would ever be drawn to its end. Here the
    browser waits after each look, and does not ask while its tab is hidden.
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
    """Have the browser ask for the next look."""
    reader = st.session_state.setdefault("_reader_id", uuid4().hex)
    cost = time.thread_time() - began
    seconds = _pace().drawn((reader, name), cost, least, time.monotonic())
    _again()(
        key=f"again-{name}", data={"seconds": seconds, "drawn": time.time()}, width=1, height=1,
        on_again_change=lambda: None,
    )  # fmt: skip
