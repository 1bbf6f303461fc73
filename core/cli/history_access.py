"""Access to history for commands that read it, whether tocsin runs or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tocsin.core.cli.context import Context, Failure
from tocsin.core.clock import SystemClock
from tocsin.core.contracts.history import HistoryReader, HistoryUnavailable
from tocsin.core.history.plugin import NONE
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.faults import describe
from tocsin.core.runtime.data_dir import StartError, data_directory
from tocsin.core.runtime.owned import private_files
from tocsin.core.shapes import fit_opened


@asynccontextmanager
async def history_of(context: Context) -> AsyncIterator[HistoryReader]:
    """Open the configured history for reading.

    Raises:
        Failure: there is no history, or it cannot be opened.
    """
    settings = context.settings()
    history = settings.database
    if history.store is None:
        raise Failure(history.why_none or NONE)
    contexts = Contexts(settings.data_dir, SystemClock(), context.env)
    async with AsyncExitStack() as stack:
        stack.enter_context(private_files())
        stack.callback(contexts.stop)

        def hold() -> bool:
            try:
                stack.enter_context(data_directory(settings.data_dir))
            except StartError:  # tocsin is running
                return False
            return True

        own = contexts.of(history.plugin or "", history.name)
        try:
            reader = await history.store.open_reader(own, hold)
            fit_opened(history.store, reader, "open_reader")
        except HistoryUnavailable as error:
            raise Failure(str(error)) from error
        except Exception as error:
            raise Failure(
                f"the plugin {history.plugin} failed in open_reader(): it {describe(error)}"
            ) from error
        stack.push_async_callback(reader.close)
        yield reader
