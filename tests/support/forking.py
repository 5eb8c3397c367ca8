"""The program without its imports: one fork server for all starts of a test session.

What is forked is what would be executed: `mozzart` with these words, in this directory, with this environment and
nothing else of ours. Tests of the start itself execute the console script (`Mozzart.executed`).
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from supervisor import plan
from supervisor.fork_server import Command, ForkServer, adopt_orphans, started
from supervisor.forked import Forked

# `run` is called from threads, too.
_one_at_a_time = threading.Lock()


def fork(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    directory: Path,
    output: int,
    error: int,
    *,
    before: Callable[[int], object] = lambda pid: None,
) -> Forked:
    """`mozzart ARGUMENTS`, at work; it dies with this process. `before` gets its id before it does anything."""
    with _one_at_a_time:
        adopt_orphans()
        try:
            with _server().order(Command(arguments, "cli.main"), environment, directory, output, error) as answer:
                before(int(answer.recv(20, socket.MSG_PEEK)))
                return started(answer)
        finally:
            adopt_orphans(False)


@cache
def _server() -> ForkServer:
    commands = (plan.UPGRADE, plan.CONSUMER, plan.API, plan.SYNCER, plan.WEBHOOK)
    server = ForkServer(["supervisor.plan", "supervisor.up", *(command.module for command in commands)])
    process = subprocess.Popen(
        server.command(),
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[server.descriptor],
        start_new_session=True,
    )

    def end() -> None:
        server.__exit__()
        process.wait(10)

    atexit.register(end)
    return server
