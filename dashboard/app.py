"""The pages, their addresses, and who may see them: the entry point of each script run."""

from __future__ import annotations

import streamlit as st

from tocsin.dashboard import pages, session, states
from tocsin.dashboard.client import ApiError
from tocsin.dashboard.dialogs import open_dialog
from tocsin.dashboard.pace import live
from tocsin.dashboard.style import STYLE

RETRY = 5
"""Seconds between two attempts while the reader cannot be determined."""


def main(start: str = "overview") -> None:
    """Show the page that the address names; ``start`` is the page at the root address."""
    st.set_page_config(page_title="tocsin", page_icon="🔔", layout="wide")
    st.html(STYLE)
    made = pages.make(start)
    page = st.navigation(list(made.values()), position="top")
    session.hand_over()
    try:
        if session.reader() is None:
            states.sign_in_page()
            return
        with states.loading():
            page.run()
        open_dialog()
    except ApiError as error:
        _later([error])


@live(RETRY)
def _later(errors: list[ApiError]) -> None:
    """Show why there is no page, and retry after a while, since nothing else would.

    Args:
        errors: the error to show at first; the list is empty when this part is drawn again.
    """
    if errors:
        error = errors.pop()
    else:
        try:
            session.reader()
        except ApiError as met:
            error = met
        else:
            st.rerun()
    states.refused(error, key="page")
