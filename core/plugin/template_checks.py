"""The templates that rules declare: they are about alerts of their own rule, and they work."""

from __future__ import annotations

from tocsin.core.contracts.rule import Rule
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.templates import TemplateProblem, check_declared, file_name_of


def check_templates(rule: str, cls: type[Rule]) -> None:
    """Refuse templates that cannot be used.

    Args:
        rule: the name under which the class is provided.
        cls: the class.

    Raises:
        PluginFault: a template is about another rule, or does not work.
    """
    own = {file_name_of(name) for name in (rule, *cls.autostart)}
    for name in cls.templates:
        if name.split(".")[0] not in own:
            raise PluginFault(
                f"declares the template {name!r}, but its name has to begin with that of the rule "
                f"({rule}) or of one of its default rules"
            )
    if not cls.templates:
        return
    try:
        check_declared(cls.templates)
    except TemplateProblem as problem:
        raise PluginFault(f"declares a template that cannot be used: {problem}") from problem
