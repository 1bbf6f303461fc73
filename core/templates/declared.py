"""Templates that plugins declare.

This module does not import Jinja: commands that render nothing import it.
"""

from __future__ import annotations

import re

from attrs import frozen


class TemplateProblem(Exception):
    """A template cannot be used; the message says which file, where, and why."""


@frozen(kw_only=True)
class PluginTemplate:
    """A template that a plugin declares.

    Attributes:
        plugin: name of the plugin.
        text: the template.
    """

    plugin: str
    text: str


def file_name_of(rule: str) -> str:
    """Return how the names of the templates of a rule begin."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", rule)
