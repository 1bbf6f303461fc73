"""The section ``[messages]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from tocsin.core.config.errors import Problems
from tocsin.core.config.settings import MessageSettings
from tocsin.core.config.structure import build
from tocsin.core.templates import TemplateProblem, check_directory


@frozen(kw_only=True)
class _Table:
    templates: Path | None = None


def make_messages(table: Any, base: Path, problems: Problems) -> MessageSettings:
    """Build the section and check its templates.

    Args:
        table: the section.
        base: directory of the configuration file; a relative path is relative to it.
        problems: collects what is wrong, such as a template that cannot be rendered.
    """
    said = build(_Table, table, ("messages",), problems)
    if said is None or said.templates is None:
        return MessageSettings()
    directory = base / said.templates
    try:
        check_directory(directory)
    except TemplateProblem as problem:
        problems.add(("messages", "templates"), str(problem))
    return MessageSettings(templates=directory)
