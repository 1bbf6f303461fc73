"""Delivery to the provider: timeout, backoff, ``Retry-After``, errors of the notifier."""

from __future__ import annotations

import random

from attrs import define, evolve, field, frozen

from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.message import Message
from tocsin.core.contracts.notifier import LONGEST_REST, NotifierRuntime, NotifyError, Receipt
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.notify.enrich import Enricher
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import InvalidReceipt, Isolation, PluginFault, describe
from tocsin.core.runtime.shortage import own_shortage
from tocsin.core.shapes import fit_receipt

log = get_logger(__name__)

GRACE = 1.0
"""Seconds added to the notifier's own timeout."""

BACKOFF = (1.0, 300.0)
"""Initial and maximum delay before the next attempt, in seconds; it doubles each time."""

FALLBACK_AFTER = 300.0
"""Seconds of failed delivery after which the fallback channel gets the notification, too."""

MOST_FAULTS = 8
"""Attempts in a row (about two minutes) that end in an error of the notifier itself, after which
the message counts as undeliverable: such errors are no outage of the provider."""

MAX_RETRY_AFTER = LONGEST_REST

LEAST_ASKED = 1.0
"""Seconds; a provider's request for a shorter delay than this is replaced by the usual backoff."""


@frozen(kw_only=True)
class Failure:
    """A failed attempt.

    Attributes:
        message: the reason, as a clause.
        permanent: no later attempt can succeed.
        disable: the channel is unusable until a person repairs it.
        retry_after: the delay that the provider asked for, in seconds.
        fault: the notifier itself broke, which no outage explains.
        everything: see ``NotifyError``.
        answered: see ``NotifyError``.
    """

    message: str
    permanent: bool = False
    disable: bool = False
    retry_after: float | None = None
    fault: bool = False
    everything: bool = False
    answered: bool = False


@define
class Attempt:
    """Hands messages to a channel's notifier.

    A provider's answer may repeat what it was sent, so secrets and control characters are removed
    from it.
    """

    settings: ChannelSettings
    isolation: Isolation
    runtime: Runtime[NotifierRuntime] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if (notifier := self.settings.notifier) is not None:
            context = self.isolation.contexts.of(self.settings.plugin or "", self.settings.name)
            self.runtime = Runtime(notifier, context)

    async def __call__(self, message: Message) -> Receipt | Failure:
        """Try once to deliver a message; return the receipt or the failure."""
        notifier, plugin = self.settings.notifier, self.settings.plugin or ""
        runtime = self.runtime
        if notifier is None or runtime is None:
            why = self.settings.broken or "it has no notifier"
            return Failure(message=why, permanent=True, everything=True)

        async def send() -> tuple[Receipt, str | None]:
            given = await (await runtime.get()).send(message)
            try:
                return fit_receipt(given)
            except PluginFault as fault:
                raise InvalidReceipt(str(fault)) from fault

        try:
            receipt, wrong = await self.isolation.call(
                plugin, send, notifier.timeout + GRACE, expects=(NotifyError,)
            )
            if wrong is not None:
                log.warning("a notifier returned an invalid receipt", plugin=plugin, reason=wrong)
        except NotifyError as error:
            said = clean(str(error))
            if (lack := own_shortage(error)) is not None:
                # A shortage of this machine says nothing about the message or the provider.
                return Failure(message=f"{said} ({lack})", retry_after=error.retry_after)
            return Failure(
                message=said,
                permanent=error.permanent,
                disable=error.disable,
                retry_after=error.retry_after,
                everything=error.everything,
                answered=error.answered,
            )
        except PluginFault as fault:
            if fault.severe:
                self.isolation.reset(plugin, fault)
            # An OSError that the notifier did not handle, or a shortage of this machine, is
            # temporary.
            outage = isinstance(fault.__cause__, OSError) or own_shortage(fault) is not None
            return Failure(
                message=clean(f"plugin {plugin} {fault}"), fault=not outage,
                everything=isinstance(fault, InvalidReceipt),
            )  # fmt: skip
        except TimeoutError:
            return Failure(message=f"no answer within {notifier.timeout:g} s")
        except Exception as error:  # noqa: BLE001 - such as no thread or no memory: temporary
            return Failure(message=clean(f"tocsin itself could not send it: {describe(error)}"))
        return evolve(receipt, answer=clean(receipt.answer))


async def put_into_words(
    message: Message, settings: ChannelSettings, enrich: Enricher
) -> Message | Failure:
    """Return the message with log lines, status and rendered text.

    An error in tocsin is returned as a temporary failure, so that the message is tried again.
    """
    try:
        return await enrich(message, settings.notifier)
    except Exception as error:
        log.exception("a message could not be rendered", channel=settings.name)
        why = f"tocsin itself could not render it: {describe(error)}"
        return Failure(message=clean(why), answered=True)


def backoff(attempts: int, failure: Failure) -> float:
    """Return the seconds until the next attempt, with jitter so that messages that failed together
    are not retried together.

    Args:
        attempts: failed attempts so far, at least 1.
        failure: the last of them; its ``retry_after`` is a lower bound.
    """
    wait = min(BACKOFF[0] * 2.0 ** min(attempts - 1, 20), BACKOFF[1])
    wait *= random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    asked = 0.0 if failure.retry_after is None else failure.retry_after
    return max(wait, asked) if asked < LEAST_ASKED else min(asked, MAX_RETRY_AFTER)
