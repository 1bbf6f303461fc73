"""What is removed from a reason, and what is not."""

from __future__ import annotations

import pytest

from tocsin_apprise._masking import Mask


@pytest.mark.parametrize(
    "text",
    [
        "POST https://api.example.org/botSecretToken1/send failed",
        "login bob with pa/ss:w@rd was refused",
        "login with pa%2Fss%3Aw%40rd was refused",
        "key=abc-def-ghi is wrong",
    ],
)
def test_every_part_of_a_url_is_hidden(text: str) -> None:
    """User, password, path and values are removed, also encoded and within words."""
    url = "svc://bob:pa%2Fss%3Aw%40rd@example.org:99/SecretToken1?key=abc-def-ghi&format=html"
    shown = Mask([url], ["example.org", "99"])(text)
    for secret in ("SecretToken1", "pa/ss:w@rd", "pa%2Fss", "abc-def-ghi"):
        assert secret not in shown


def test_words_that_are_not_secret_stay() -> None:
    """The name of the server, and Apprise's own words, stay readable."""
    mask = Mask(["json://bob@example.org/x?format=html&verify=no"], ["example.org"])
    text = "no html for example.org, the bobbin turns"
    assert mask(text) == text
