"""Message templates: one for each kind of alert, each replaceable by a file."""

from tocsin.core.templates.renderer import Renderer, TemplateProblem, check_directory

__all__ = ["Renderer", "TemplateProblem", "check_directory"]
