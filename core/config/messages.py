"""What the configuration says of messages: ``[messages]``."""

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
    """The section; a template that does not render is a problem of the configuration. A relative
    directory is looked for in ``base``, beside the configuration file."""
    said = build(_Table, table, ("messages",), problems)
    if said is None or said.templates is None:
        return MessageSettings()
    directory = base / said.templates
    try:
        check_directory(directory)
    except TemplateProblem as problem:
        problems.add(("messages", "templates"), str(problem))
    return MessageSettings(templates=directory)
