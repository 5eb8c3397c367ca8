"""The embedded nats-server seen from inside: when its store is in error and there is room, it is started again.

Only then: it may stand still, or be slow, for reasons that a start makes worse.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import structlog
import trio

from mailcore.plain_nats import NatsRefused, PlainNats
from mailcore.write_error import QUESTION, question, write_error
from supervisor.children import Supervisor
from supervisor.healing import Healing, Step
from supervisor.nats_server import NAME, NatsServer

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 5.0
_WITHIN: Final = 3.0
_GRACE: Final = 3.0
_ROOM: Final = 16 << 20  # bytes: two of the largest messages
_PROBE: Final = b"\0" * (64 << 10)


async def watch(server: NatsServer, supervisor: Supervisor, every: float = _LOOK_EVERY) -> None:
    """Look at it every so many seconds, for ever."""
    healing = Healing()
    while True:
        await trio.sleep(every)
        error = await trio.to_thread.run_sync(_error, server.url, abandon_on_cancel=True)
        room = bool(error) and await trio.to_thread.run_sync(has_room, server.directory)
        healing, step = healing.look(trio.current_time(), error, room)
        if step is Step.TELL:
            log.warning("stores nothing, is started again once there is room", child=NAME, why=error)
        elif step is Step.RESTART:
            log.warning("started again: its store stays in error though there is room", child=NAME, why=error)
            await supervisor.restart(NAME, _GRACE)


def failed_writes(url: str) -> dict[str, str]:
    """By stream in error: what the system said. Raises NatsRefused, OSError, ValueError."""
    found = {}
    with PlainNats(url, name="supervisor", within=_WITHIN) as nats:
        for stream in json.loads(nats.answer("$JS.API.STREAM.NAMES"))["streams"] or ():
            if said := write_error(nats.answer(question(stream), QUESTION)):
                found[stream] = said
    return found


def has_room(directory: Path) -> bool:
    """Whether that disk takes something now: there is space and, by a quota, too."""
    try:
        if shutil.disk_usage(directory).free < _ROOM:
            return False
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def _error(url: str) -> str:
    try:
        return "; ".join(f"{stream}: {said}" for stream, said in failed_writes(url).items())
    except (NatsRefused, OSError, ValueError, LookupError) as error:
        # It starts, or it is away, which others tell.
        log.debug("nats-server not asked", error=str(error))
        return ""
