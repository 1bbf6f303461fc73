"""The enricher of a configuration: templates, status of targets, log lines."""

from __future__ import annotations

from tocsin.core.config.settings import Settings
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.notify import Enricher
from tocsin.core.notify.controls import Actions
from tocsin.core.notify.target_status import target_statuses
from tocsin.core.state import LiveState
from tocsin.core.templates.renderer import Renderer

log = get_logger(__name__)


def enricher_of(settings: Settings, state: LiveState, actions: Actions | None) -> Enricher:
    """Return the enricher of a configuration. ``actions`` None: messages have no log lines."""

    def trouble(reason: str) -> None:
        log.warning("a template failed; another one was used", reason=reason)

    messages = settings.messages
    renderer = Renderer(messages.templates, clean, trouble, messages.declared, messages.channels)
    made = Enricher(renderer, settings.timezone, target_statuses=lambda: target_statuses(state))
    if actions is not None:
        made.logs, made.can_restart = actions.logs, actions.may_restart
        made.actions = actions.actions
    return made
