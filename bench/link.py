"""A link that takes its time: each byte arrives `delay` seconds later, both ways; bandwidth is not bounded."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time


class Link:
    """Forwards connections to 127.0.0.1:`target`."""

    def __init__(self, target: int, delay: float) -> None:
        self._target = target
        self._delay = delay
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """With every connection."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(end)
            for source, sink in ((client, server), (server, client)):
                way: queue.Queue[tuple[float, bytes]] = queue.Queue(4_096)
                threading.Thread(target=self._take, args=(source, way), daemon=True).start()
                threading.Thread(target=_give, args=(sink, way), daemon=True).start()

    def _take(self, source: socket.socket, way: queue.Queue[tuple[float, bytes]]) -> None:
        data = b" "
        while data:
            try:
                data = source.recv(1 << 18)
            except OSError:
                data = b""
            way.put((time.monotonic() + self._delay, data))


def _give(sink: socket.socket, way: queue.Queue[tuple[float, bytes]]) -> None:
    with contextlib.suppress(OSError):
        while True:
            due, data = way.get()
            time.sleep(max(due - time.monotonic(), 0))
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
