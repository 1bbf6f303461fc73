"""Message templates: one for each kind of alert, each of which a file can replace."""

from tocsin.core.templates.checks import check_declared, check_directory
from tocsin.core.templates.layers import PluginTemplate, TemplateProblem
from tocsin.core.templates.renderer import Renderer, file_name_of

__all__ = [
    "PluginTemplate",
    "Renderer",
    "TemplateProblem",
    "check_declared",
    "check_directory",
    "file_name_of",
]
