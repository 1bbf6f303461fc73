"""``[messages]``: templates of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Load
from tocsin.core.config import ConfigError


def test_config_check_names_the_template(load: Load, tmp_path: Path) -> None:
    """The templates are looked at with the rest of the configuration; a relative directory lies
    beside its file."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words/alert.txt").write_text("{{ nope }}")
    with pytest.raises(ConfigError, match=r"messages\.templates.*'nope' is undefined"):
        load('[messages]\ntemplates = "words"\n')
    (tmp_path / "words/alert.txt").write_text("{{ target }}")
    settings = load('[messages]\ntemplates = "words"\n')
    assert settings.messages.templates == tmp_path / "words"
    with pytest.raises(ConfigError, match="is no directory"):
        load('[messages]\ntemplates = "nowhere"\n')
