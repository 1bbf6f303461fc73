"""The log of a target."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from tocsin.dashboard import logs, pages, session, states
from tocsin.dashboard.client import path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import count

EVERY = 10
"""Seconds between two refreshes."""

HEIGHT = 430
"""Height of the list of lines in pixels; fewer than ``FEW`` rows, at ``ROW`` characters per row,
take only the height that they need."""
FEW, ROW = 16, 60

LINES = {"100 lines": 100, "500 lines": 500, "2000 lines": 2000}


@live(EVERY)
def show_logs(name: str) -> None:
    """Draw the log of a target, or nothing if its source cannot read one."""
    if not st.session_state.get("_has_logs"):
        return
    with st.container(border=True, key="panel-logs"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("**:material/article: Logs**", width="stretch")
            most = list(LINES)[-1]
            pages.link("target", "Full logs", icon=":material/open_in_full:",
                       query={"name": name, "lines": most})  # fmt: skip
            search = st.text_input(
                "Search the log", key="log", bind="query-params", placeholder="Search",
                icon=":material/search:", width=220, label_visibility="collapsed",
            )  # fmt: skip
            levels = st.pills(
                "Level", list(logs.LEVELS), selection_mode="multi", key="level",
                bind="query-params", label_visibility="collapsed", wrap=True,
            )  # fmt: skip
            lines = st.selectbox(
                "Lines", list(LINES), key="lines", bind="query-params", width=130,
                label_visibility="collapsed",
            )  # fmt: skip
        with states.guarded("Logs"):
            path = path_of("targets", name, "logs")
            found = logs.read(session.api().get(path, lines=LINES[lines or "100 lines"])["items"])
            shown = logs.select(found, search or "", {logs.LEVELS[x] for x in levels or ()})
            if not found:
                st.caption("Nothing has been written to the log yet.")
            elif not shown:
                st.caption(f"None of the last {count(len(found), 'line')} matches.")
            else:
                # The Streamlit container scrolls, and keeps its position while lines are replaced.
                rows = sum(1 + len(line.text) // ROW for line in shown)
                height: int | Literal["content"] = "content" if rows < FEW else HEIGHT
                with st.container(height=height, border=False, key="log-lines"):
                    st.html(logs.render(reversed(shown), session.zone()))
                st.caption(f"{count(len(shown), 'line')} of the last {len(found):,}, newest first")
