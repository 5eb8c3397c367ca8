"""The life of an asyncio process: from its start until SIGINT or SIGTERM asks it to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from mailcore.descriptors import Starved, raise_limit


def run_until_stopped(
    serve: Callable[[asyncio.Event], Awaitable[None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop,
) -> None:
    """Run `serve`, which is to return soon after its event is set. A loop of our own choosing: no policy that some
    import may have set decides it."""

    async def main() -> None:
        raise_limit()
        asyncio.get_running_loop().set_exception_handler(Starved())
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(stop)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
