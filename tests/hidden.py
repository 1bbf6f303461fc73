"""What is known as a secret in a test, and in no other."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tocsin.core.hiding import text


def hide_only(monkeypatch: pytest.MonkeyPatch, secrets: Iterable[str]) -> None:
    """Let these be the secrets that are known, until the test ends."""
    monkeypatch.setattr(text, "SECRETS", text.Secrets(secrets))
