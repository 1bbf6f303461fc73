"""The pages, their addresses, and who may see them."""

from __future__ import annotations

import streamlit as st

from tocsin.dashboard import pages, session, states
from tocsin.dashboard.client import ApiError
from tocsin.dashboard.dialogs import open_dialog
from tocsin.dashboard.style import STYLE


def main(start: str = "overview") -> None:
    """Show the page that the address names; ``start`` is the one at the root."""
    st.set_page_config(page_title="tocsin", page_icon="🔔", layout="wide")
    st.html(STYLE)
    made = pages.make(start)
    page = st.navigation(list(made.values()), position="top")
    session.hand_over()
    try:
        signed_in = session.reader() is not None
    except ApiError as error:
        states.refused(error)
        return
    if not signed_in:
        states.sign_in_page()
        return
    page.run()
    open_dialog()
