"""The pages by name, and links to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from tocsin.dashboard.words import plain

_MADE: dict[str, Any] = {}


def make(start: str) -> dict[str, Any]:
    """Create the pages and return them by name; ``start`` is the page at the root address."""
    from tocsin.dashboard.views import alerts, history, overview, system, target

    kinds: dict[str, tuple[Callable[[], None], str, str]] = {
        "overview": (overview.page, "Overview", ":material/grid_view:"),
        "alerts": (alerts.page, "Alerts", ":material/notifications:"),
        "history": (history.page, "History", ":material/monitoring:"),
        "system": (system.page, "System", ":material/settings_heart:"),
        "target": (target.page, "Target", ":material/deployed_code:"),
    }
    for name, (function, title, icon) in kinds.items():
        _MADE[name] = st.Page(
            function, title=title, icon=icon, url_path=name, default=name == start,
            visibility="hidden" if name == "target" else "visible",
        )  # fmt: skip
    return dict(_MADE)


def link(
    page: str, label: str, *, icon: str | None = None, query: Mapping[str, str] | None = None
) -> None:
    """Show a link to a page; the label may be untrusted text."""
    st.page_link(_MADE[page], label=plain(label, 80), icon=icon, query_params=dict(query or {}))


def target_link(name: str, *, icon: str | None = None) -> None:
    """Show a link to a target's page."""
    link("target", name, icon=icon, query={"name": name})


def go(page: str, query: Mapping[str, str] | None = None) -> None:
    """Switch to another page."""
    st.switch_page(_MADE[page], query_params=dict(query or {}))
