"""Message templates: one for each kind of alert, each of which a file can replace."""

from tocsin.core.templates.renderer import Renderer, TemplateProblem, check_directory

__all__ = ["Renderer", "TemplateProblem", "check_directory"]
