"""Stage 6: deliver, with deadline, backoff, the provider's own wishes, and an end to patience."""

from __future__ import annotations

import random

from attrs import define, evolve, frozen

from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.notifier import LONGEST_REST, Message, NotifyError, Receipt
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.notify.enrich import Enricher
from tocsin.core.plugin.sandbox import Isolation, PluginFault, describe
from tocsin.core.runtime.shortage import own_shortage
from tocsin.core.shapes import fit_receipt

log = get_logger(__name__)

GRACE = 1.0
"""Seconds beyond the notifier's own timeout."""

BACKOFF = (1.0, 300.0)
"""Seconds before the second attempt, doubled each time, and the longest."""

FALLBACK_AFTER = 300.0
"""Seconds of failing after which the fallback channel is told as well."""

MOST_FAULTS = 8
"""Attempts in a row, over about two minutes, that end in a fault of the notifier: that is no
outage, and a message that will never go out."""

MAX_RETRY_AFTER = LONGEST_REST

LEAST_ASKED = 1.0
"""Seconds; who asks for a shorter rest is left alone for as long as anybody that fails."""


@frozen(kw_only=True)
class Failure:
    """An attempt that did not deliver. ``retry_after``: seconds the provider asked for; ``fault``:
    the notifier itself broke, which no outage explains. ``everything``, ``answered``: see
    NotifyError."""

    message: str
    permanent: bool = False
    disable: bool = False
    retry_after: float | None = None
    fault: bool = False
    everything: bool = False
    answered: bool = False


class _NoReceipt(PluginFault):
    """The notifier may have sent the message: halves of it would arrive a second time."""


@define
class Attempt:
    """Hands a message to a channel's notifier. What comes back is the provider's text as well, and
    may repeat what it was sent: it is kept without secrets and control characters."""

    settings: ChannelSettings
    isolation: Isolation

    async def __call__(self, message: Message) -> Receipt | Failure:
        """Try once."""
        notifier, plugin = self.settings.notifier, self.settings.plugin or ""
        if notifier is None:
            why = self.settings.broken or "it has no notifier"
            return Failure(message=why, permanent=True, everything=True)

        async def send() -> tuple[Receipt, str | None]:
            given = await notifier.send(message)
            try:
                return fit_receipt(given)
            except PluginFault as fault:
                raise _NoReceipt(str(fault)) from fault

        try:
            receipt, wrong = await self.isolation.call(
                plugin, send, notifier.timeout + GRACE, expects=(NotifyError,)
            )
            if wrong is not None:
                log.warning("a receipt is not as agreed", plugin=plugin, reason=wrong)
        except NotifyError as error:
            said = clean(str(error))
            if (lack := own_shortage(error)) is not None:
                # Whatever the notifier makes of it: it says nothing about message or provider.
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
            # What the network does to a notifier that lets it through passes by itself, and so
            # does a shortage of ours.
            outage = isinstance(fault.__cause__, OSError) or own_shortage(fault) is not None
            return Failure(
                message=clean(f"plugin {plugin} {fault}"), fault=not outage,
                everything=isinstance(fault, _NoReceipt),
            )  # fmt: skip
        except TimeoutError:
            return Failure(message=f"no answer within {notifier.timeout:g} s")
        except Exception as error:  # noqa: BLE001 - no thread, no memory: ours, and it passes
            return Failure(message=clean(f"tocsin itself could not send it: {describe(error)}"))
        return evolve(receipt, answer=clean(receipt.answer))


async def put_into_words(
    message: Message, settings: ChannelSettings, enrich: Enricher
) -> Message | Failure:
    """The message as it is sent. What breaks inside tocsin costs no notice: it is tried again."""
    try:
        return await enrich(message, settings.notifier)
    except Exception as error:
        log.exception("a message could not be put into words", channel=settings.name)
        why = f"tocsin itself could not put it into words: {describe(error)}"
        return Failure(message=clean(why), answered=True)


def backoff(attempts: int, failure: Failure) -> float:
    """Seconds until the next attempt, after ``attempts`` failed ones; never less than the provider
    asked for. With jitter, so that what failed together does not come back together."""
    wait = min(BACKOFF[0] * 2.0 ** min(attempts - 1, 20), BACKOFF[1])
    wait *= random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    asked = 0.0 if failure.retry_after is None else failure.retry_after
    return max(wait, asked) if asked < LEAST_ASKED else min(asked, MAX_RETRY_AFTER)
