"""Templates of messages: a text for each kind of alert, any of them replaceable by a file."""

from tocsin.core.templates.renderer import Renderer, TemplateProblem, check_directory

__all__ = ["Renderer", "TemplateProblem", "check_directory"]
