"""How long one thread keeps the others from running."""

from __future__ import annotations

import sys

import pytest

from tocsin.core.runtime.turns import SHORT, short_turns


def test_turns_are_short_meanwhile_only() -> None:
    """Threads take short turns within the block; afterwards, also after an error, as before."""
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(SHORT)
    assert sys.getswitchinterval() == before
    with pytest.raises(KeyError), short_turns():
        raise KeyError
    assert sys.getswitchinterval() == before
