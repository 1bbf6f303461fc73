"""The options: what is read, what is refused, and in which words."""

from __future__ import annotations

import pytest
from apprise.plugins.mqtt import NotifyMQTT

from tests.conftest import notifier
from tocsin import Secret
from tocsin_apprise.notifier import AppriseNotifier

TOKEN = "tk_Zq81kXw2Lm"


def test_one_url_or_several() -> None:
    """``urls`` is one URL, or a list of them."""
    AppriseNotifier(urls=Secret("json://host/one"))
    AppriseNotifier(
        urls=(Secret("json://host/one"), Secret("https://discord.com/api/webhooks/1/" + "x" * 60))
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"nosuch://{TOKEN}/x", "Apprise does not know"),
        (f"slack://{TOKEN}", "appriseit.com/services/slack"),
        (f"json://user:{TOKEN}@", "json"),
        (f"hello {TOKEN}", "has no scheme"),
        (f"json://h/{TOKEN}?optional=yes", "optional"),
        (f"json://h/{TOKEN}, xml://h/{TOKEN}", "holds several URLs"),
        (f"http://host/{TOKEN}.yml", "Apprise does not know"),
        (f"file:///etc/{TOKEN}.conf", "Apprise does not know"),
        ("", "has no scheme"),
    ],
)
def test_a_bad_url_is_named_by_position_and_scheme(url: str, words: str) -> None:
    """The error says which URL is wrong, and what to do, and shows none of its secrets."""
    with pytest.raises(ValueError, match="URL 2") as caught:
        notifier("json://host/good", url)
    assert words in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert "URL 1" not in str(caught.value)


def test_all_bad_urls_are_named_at_once() -> None:
    """Two bad URLs are reported together."""
    with pytest.raises(ValueError, match=r"URL 1 \(slack\).*URL 3 \(nosuch\)"):
        notifier("slack://bad", "json://host/x", "nosuch://host")


def test_a_service_that_needs_a_library_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose library is not installed is refused, with the library's name."""
    monkeypatch.setattr(NotifyMQTT, "enabled", False)
    with pytest.raises(ValueError, match="install paho-mqtt"):
        notifier("mqtt://localhost/topic")


def test_no_urls() -> None:
    """An empty list is refused."""
    with pytest.raises(ValueError, match="at least one"):
        notifier()


def test_too_many_urls() -> None:
    """The number of URLs, and so of threads, is bounded."""
    with pytest.raises(ValueError, match="at most"):
        notifier(*["json://host/x"] * 51)


def test_bad_urls_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Apprise's complaints about a URL, which show parts of it, reach no log."""
    caplog.set_level(1)
    with pytest.raises(ValueError):
        notifier(f"slack://{TOKEN}")
    assert not [record for record in caplog.records if record.name == "apprise"]


def test_the_notifier_shows_no_secret() -> None:
    """``repr`` shows no part of a URL."""
    assert TOKEN not in repr(notifier(f"json://user:{TOKEN}@host/x"))
