"""The reference chapter of ``entry_points.md`` is what the public API's docstrings say."""

from __future__ import annotations

import re

import pytest
from attrs import frozen

import tocsin
from tests.reference import PAGE, Undocumented, chapter, foreign_types, page
from tocsin import Probe, Target


def test_the_page_has_what_is_generated() -> None:
    """A change of the public API or its docstrings is on the page: ``make reference``."""
    assert PAGE.read_text() == page(PAGE.read_text()), "run: make reference"


def test_every_public_name_has_a_place() -> None:
    """Each name that ``tocsin`` offers is a heading or begins a row."""
    text = chapter()
    for name in tocsin.__all__:
        assert re.search(rf"^(### `{name}`$|\| `(await )?{name}\b)", text, re.MULTILINE), name


def test_every_link_leads_to_a_heading() -> None:
    """Links within the page, of the prose and of the reference, have a target."""
    text = PAGE.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert {"probe", "context", "verdict"} <= links
    assert links - anchors == set()


def test_what_the_public_api_mentions_is_public() -> None:
    """A plugin author can import every class of the contracts that a field or method names."""
    assert foreign_types() == []


def test_a_field_without_a_meaning_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which field, and where its meaning belongs."""

    @frozen(kw_only=True)
    class Hidden(Target):
        """A target.

        Attributes:
            depth: in metres.
        """

        depth: int
        colour: str = "red"

    monkeypatch.setattr(tocsin, "Target", Hidden)
    with pytest.raises(Undocumented, match=r"tocsin\.Target\.colour has no meaning: add 'colour'"):
        chapter()


def test_a_class_without_a_docstring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault names the class."""

    class Silent(Probe):
        __doc__ = ""

    monkeypatch.setattr(tocsin, "Probe", Silent)
    with pytest.raises(Undocumented, match="Silent of the public API has no docstring"):
        chapter()
