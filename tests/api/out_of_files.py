"""The API's listener in a process that has no open files left.

    python -m tests.api.out_of_files LOOP

LOOP is asyncio or uvloop. It prints its port and takes all descriptors; at a line of input it
prints the CPU seconds of that time and gives them back; at the next one it ends.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time

from aiohttp import web

from tests.probes.short_of_files import fill
from tocsin.core.http import log_filters
from tocsin.core.http.connections import Connections


async def main() -> None:
    """Serve."""
    logging.basicConfig(stream=sys.stderr)
    log_filters.quieten()

    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(text="hello")

    loop = asyncio.get_running_loop()
    connections = Connections(web.Server(handle))
    listener = await loop.create_server(connections, "127.0.0.1", 0, backlog=128)
    await asyncio.to_thread(int)  # its thread is there before descriptors are short
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    held = fill(0)
    began = time.process_time()
    print(listener.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    print(time.process_time() - began, flush=True)  # noqa: T201
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(held) + 256, hard))
    await asyncio.to_thread(sys.stdin.readline)
    listener.close()
    connections.stop()


if __name__ == "__main__":
    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
