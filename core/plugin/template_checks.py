"""The templates that rules and notifiers declare: they work, and those of a rule are about its own
alerts."""

from __future__ import annotations

from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.rule import Rule
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.templates.declared import TemplateProblem, file_name_of


def check_templates(name: str, cls: type[Rule] | type[Notifier]) -> None:
    """Refuse templates that cannot be used.

    Args:
        name: the name under which the class is provided.
        cls: the class.

    Raises:
        PluginFault: a template of a rule is about another rule, or a template does not work.
    """
    if issubclass(cls, Rule):
        own = {file_name_of(each) for each in (name, *cls.autostart)}
        for template in cls.templates:
            if template.split(".")[0] not in own:
                raise PluginFault(
                    f"declares the template {template!r}, but its name has to begin with that of "
                    f"the rule ({name}) or of one of its default rules"
                )
    if not cls.templates:
        return
    from tocsin.core.templates.checks import check_declared  # here: it imports Jinja

    try:
        check_declared(cls.templates)
    except TemplateProblem as problem:
        raise PluginFault(f"declares a template that cannot be used: {problem}") from problem
