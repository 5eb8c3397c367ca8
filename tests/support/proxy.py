"""A TCP proxy on loopback that can go silent: what a stateful firewall does to a long IDLE connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest


class Proxy:
    """Forwards connections to 127.0.0.1:`target`.

    `go_silent()` makes every connection of that moment a black hole: open for both ends, and no byte passes ever again.
    Connections made later work. `stall()` holds back what comes until `resume()`. `most_open` is how many were open at
    once, at the most.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self.most_open = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def go_silent(self) -> int:
        """How many connections that struck."""
        with self._lock:
            alive = [connection for connection in self._connections if connection.open and not connection.silent]
            for connection in alive:
                connection.silent = True
            return len(alive)

    def stall(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    @property
    def accepted(self) -> int:
        """Connections so far."""
        with self._lock:
            return len(self._connections)

    @property
    def octets(self) -> int:
        """Bytes passed on so far, both ways together."""
        with self._lock:
            return sum(connection.octets for connection in self._connections)

    def cut(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._connections:
                connection.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self.resume()
        self.cut()
        for connection in self._connections:
            connection.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._connections.append(_Connection(client, server, self._flowing))
                self.most_open = max(self.most_open, sum(one.held for one in self._connections))


class _Connection:
    def __init__(self, client: socket.socket, server: socket.socket, flowing: threading.Event) -> None:
        self._flowing = flowing
        self.silent = False
        self.octets = 0
        self.open = True
        self._ends = (client, server)
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._pump, args=pair, daemon=True) for pair in ((client, server), (server, client))
        ]
        for thread in self._threads:
            thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._flowing.wait()
                if not self.silent:
                    self.octets += len(data)  # before the other end can have seen them
                    sink.sendall(data)
        if not self.silent:
            self.close()

    @property
    def held(self) -> bool:
        """Open, and the client has not left it: a thread may take a while until it notices."""
        if not self.open:
            return False
        try:
            return self._ends[0].recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        self.open = False
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(5)
        for end in self._ends:
            end.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[int], Proxy]]:
    """`make_proxy(port)`: a Proxy in front of that port of 127.0.0.1."""
    made: list[Proxy] = []

    def make(target: int) -> Proxy:
        made.append(Proxy(target))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()
