"""How a rendered message is written in each format."""

from __future__ import annotations

import pytest
from apprise import NotifyFormat

from tocsin import Line, RenderedMessage, Section
from tocsin_apprise._bodies import body, escape

WORDS = RenderedMessage(
    title="Down: a<b",
    icon="🚨",
    sections=(
        Section(lines=(Line(text="a<b & *c*", label="Why", icon="❓"), Line(text="1. see"))),
        Section(heading="Next", icon="🔧", lines=(Line(text="# run"),)),
    ),
)


def test_text() -> None:
    """Plain text is not escaped."""
    assert body(WORDS, NotifyFormat.TEXT) == "❓ Why: a<b & *c*\n1. see\n\n🔧 Next:\n# run"


def test_html() -> None:
    """HTML has escaped text, bold labels and line breaks."""
    assert body(WORDS, NotifyFormat.HTML) == (
        "❓ <b>Why:</b> a&lt;b &amp; *c*<br/>\n1. see<br/>\n<br/>\n🔧 <b>Next:</b><br/>\n# run"
    )


def test_markdown() -> None:
    """Markdown has escaped text, bold labels and line breaks."""
    assert body(WORDS, NotifyFormat.MARKDOWN) == (
        "❓ **Why:** a\\<b \\& \\*c\\*  \n1\\. see  \n  \n🔧 **Next:**  \n\\# run"
    )


def test_no_sections() -> None:
    """A message that has only a title has it as its body, since an empty one is not sent."""
    words = RenderedMessage(title="Down: a<b")
    assert body(words, NotifyFormat.HTML) == "Down: a&lt;b"


@pytest.mark.parametrize("text", ["@everyone", "ask @here now", "@channel", "@all"])
def test_a_notice_mentions_nobody(text: str) -> None:
    """A text that looks like a mention of all people is not one."""
    assert text not in escape(text, NotifyFormat.MARKDOWN)
