"""Paging through lists by cursor; the cursor is part of the address of the page."""

from __future__ import annotations

from uuid import UUID

import streamlit as st


def cursor(*filters: object) -> str | None:
    """Return the cursor in the address, or None for the newest items.

    An invalid cursor is ignored. If the filters have changed, the cursor is removed, because it
    refers to the list under the previous filters.
    """
    if st.session_state.setdefault("_alert_filters", filters) != filters:
        st.session_state["_alert_filters"] = filters
        st.query_params.pop("before", None)
    return uuid_of(st.query_params.get("before", ""))


def uuid_of(text: str) -> str | None:
    """Return an id in its canonical form, or None if the text is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def turn(before: str | None, after: str | None) -> None:
    """Show the buttons for newer and older items, if there are any.

    Args:
        before: cursor of the items shown; None if they are the newest.
        after: cursor of older items; None if there are none.
    """
    if not after and not before:
        return
    with st.container(horizontal=True):
        newest = st.button(
            "Newest", icon=":material/first_page:", key="newest", disabled=before is None
        )
        older = st.button(
            "Older", icon=":material/chevron_right:", key="older", disabled=after is None
        )
    if newest:
        st.query_params.pop("before", None)
        st.rerun(scope="fragment")
    if older and after:
        st.query_params["before"] = after
        st.rerun(scope="fragment")
