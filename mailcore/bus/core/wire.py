"""The one connection to nats-server: nats-py's, with its dispatch, its sending and its view of errors replaced.

nats-py keeps connecting, TLS, the reading of all other lines, PING, reconnecting and its replay of subscriptions. What
is ours, and why:

- Message frames are cut by `Frames`, with fewer copies than nats-py's parser makes.
- A message goes from the parser straight to its sink: no queue, no task and no task switch for each message.
- Sending is synchronous (`send`), backpressure is a wait of its own (`room`): nats-py's publish swallows a cancellation
  that reaches it while the buffer is full.
- An `-ERR` or an exception in the read loop leads to a reconnect: nats-py would close for ever, or look connected
  while deaf.
- A dead connection is aborted, not closed: closing waits for the outgoing buffer of a peer that takes nothing any more.

nats-py is pinned to one minor version for the private names used here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import nats.aio.client
import structlog
from nats import errors
from nats.aio.client import Client, Srv
from nats.aio.subscription import Subscription
from nats.protocol import command

from mailcore.bus.core.address import Address
from mailcore.bus.core.frames import Frames

log = structlog.get_logger(__name__)

# (subject, reply, header block, payload); runs inside the parser, so it must not block.
Sink = Callable[[str, str, bytes, bytes], None]

HIGH_WATER: Final = 1 << 20  # bytes waiting for the socket above which `room` waits
_PING_SECONDS: Final = 10
_DRAIN_SECONDS: Final = 1.0
# nats-py's 32 KB make three turns of the event loop, and three of its buffers' moves, of an ordinary mail.
nats.aio.client.DEFAULT_BUFFER_SIZE = 256 << 10
_RECONNECT_SECONDS: Final = 0.2


class Wire(Client):
    """`on_change(True)` after each connect, `on_change(False)` after each loss."""

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        super().__init__()
        self._on_change = on_change
        self._ps = Frames(self)
        self._sinks: dict[int, Sink] = {}
        self.trouble: Exception | None = None
        self.refused = asyncio.Event()  # the server said no to our credentials

    async def open(self, address: Address, name: str) -> None:
        """Connect, trying for ever; the caller holds the deadline."""
        options: dict[str, Any] = {
            "name": name,
            "error_cb": self._note,
            "disconnected_cb": self._lost,
            "reconnected_cb": self._back,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _RECONNECT_SECONDS,
            "ping_interval": _PING_SECONDS,
            "max_outstanding_pings": 2,
            "connect_timeout": 5,
            "flusher_queue_size": 0,
            "inbox_prefix": address.inbox_prefix,
        }
        if address.token:
            options["token"] = address.token
        elif address.user:
            options["user"], options["password"] = address.user, address.password
        await self.connect(list(address.servers), **options)
        self._on_change(True)

    def subscribe_sink(self, subject: str, sink: Sink, queue: str = "") -> int:
        """Subscribe; the subscription is replayed after each reconnect. Returns its id."""
        self._sid += 1
        self._subs[self._sid] = Subscription(self, self._sid, subject, queue)  # for nats-py's replay only
        self._sinks[self._sid] = sink
        self.send(command.sub_cmd(subject, queue, self._sid))
        return self._sid

    def unsubscribe_sink(self, sid: int) -> None:
        if self._sinks.pop(sid, None) is not None:
            self._subs.pop(sid, None)
            if self.is_connected:
                self.send(command.unsub_cmd(sid, 0))

    async def drain_sink(self, sid: int) -> None:
        """Unsubscribe; what the server had sent before it knew of that still goes to the sink. Returns after 1 s at the
        latest."""
        self._subs.pop(sid, None)
        try:
            if self.is_connected:
                self.send(command.unsub_cmd(sid, 0))
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await self.handled()
        except (TimeoutError, OSError) as error:
            # What was under way comes again after ack_wait: whoever is gone can be given nothing back.
            log.debug("nats-not-drained", sid=sid, error=repr(error))
        finally:
            self._sinks.pop(sid, None)

    def publish_parts(self, subject: str, reply: str, block: bytes, payload: bytes) -> None:
        """Queue one message. `block` is a header block or empty; the payload is not copied here."""
        if block:
            head = f"HPUB {subject} {reply} {len(block)} {len(block) + len(payload)}\r\n".encode() + block
        else:
            head = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        if payload:
            self.send(head, payload, b"\r\n")
        else:
            self.send(head + b"\r\n")

    def send(self, *parts: bytes) -> None:
        """Queue protocol bytes for the flusher. While disconnected they wait for the reconnect."""
        self._pending.extend(parts)
        self._pending_data_size += sum(map(len, parts))
        queue = self._flush_queue
        if queue is not None and self.is_connected and queue.empty():
            queue.put_nowait(asyncio.get_running_loop().create_future())

    async def room(self) -> None:
        """Wait until the socket has taken enough; may be cancelled at any time."""
        while self._pending_data_size > HIGH_WATER:
            await self.flushed()

    async def flushed(self) -> None:
        """Wait until everything queued so far is with the socket (after a reconnect, if the connection is down)."""
        if self._flush_queue is not None:
            taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flush_queue.put_nowait(taken)
            await taken

    async def handled(self) -> None:
        """Wait until the server has handled everything queued so far. Raises OSError when the connection is lost
        meanwhile and noticed; the caller holds the deadline for one that is not."""
        await self.flushed()
        if not self.is_connected:
            raise ConnectionError("the connection was lost")
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._send_ping(answered)
        await answered

    def abort(self) -> None:
        """Drop the connection at once; what is in its buffers is lost."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def shut(self) -> None:
        """Close for good and wait for nats-py's tasks to end."""
        tasks = [self._reading_task, self._ping_interval_task, self._flusher_task, self._reconnection_task]
        self._sinks.clear()
        self._pending, self._pending_data_size = [], 0
        self.abort()
        try:
            await self.close()
        except OSError as error:
            log.debug("nats-close", error=str(error))
        finally:
            left = {task for task in tasks if task is not None and not task.done()} - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=1)

    # What follows overrides nats-py.

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # nats-py would send the credentials in the clear to a server that asks for no TLS.
        server = self._current_server
        if initial_connection and server is not None and server.uri.scheme == "tls" and not info.get("tls_required"):
            raise errors.Error("nats: NATS_URL says tls:// and the server offers no TLS")
        await super()._process_info(info, initial_connection)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        sink = self._sinks.get(sid)
        if sink is None:
            return
        try:
            sink(subject.decode(), reply.decode(), headers or b"", data)
        except Exception:  # it runs inside the read loop, which serves everybody else on this connection
            log.exception("nats-callback-failed", subject=subject.decode("utf-8", "replace"))

    async def _process_pong(self) -> None:
        # One whose waiter has gone must not end the read loop.
        if self._pongs:
            waiter = self._pongs.pop(0)
            if not waiter.done():
                waiter.set_result(True)
            self._pongs_received += 1
            self._pings_outstanding = 0

    async def _process_err(self, err_msg: str) -> None:
        error = errors.Error(f"nats: {err_msg}")
        await self._note(error)
        if "permissions violation" in err_msg:
            log.error("nats-permission-denied", error=err_msg)
        else:
            await self._process_op_err(error)

    async def _process_op_err(self, e: Exception) -> None:
        if self.is_connected or self.is_connecting:
            self.trouble = e
            self.abort()
        await super()._process_op_err(e)

    async def _connect_to_server(self, s: Srv) -> None:
        # What an attempt that failed halfway has left: nats-py would forget its socket and its tasks.
        self.abort()
        for task in (self._reading_task, self._ping_interval_task, self._flusher_task):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        await super()._connect_to_server(s)

    async def _attempt_reconnect(self) -> None:
        try:
            await super()._attempt_reconnect()
        except Exception as error:  # noqa: BLE001  # whatever it was: without this task nobody would try again
            self.trouble = error
            log.warning("nats-reconnect-failed", error=repr(error))
            await asyncio.sleep(_RECONNECT_SECONDS)
            if not self.is_closed:
                self._reconnection_task = asyncio.get_running_loop().create_task(self._attempt_reconnect())

    async def _read_loop(self) -> None:
        await super()._read_loop()
        if self.is_connected and self._reading_task is asyncio.current_task():
            await self._process_op_err(errors.ProtocolError())

    async def _note(self, error: Exception) -> None:
        self.trouble = error
        if "authorization" in str(error).lower() or "authentication" in str(error).lower():
            self.refused.set()

    async def _lost(self) -> None:
        self._on_change(False)

    async def _back(self) -> None:
        self._on_change(True)
