"""A process that imports once what the commands of `mozzart` need, and forks each of them when it is asked to.

Imports are most of a start: forked, a command works after some milliseconds, and its modules are in memory once for all
of them. Nothing is ever run in here but imports: no thread, no event loop, no connection, no setting is there to be
shared by accident. A command gets its environment, its directory and its standard output and error from whoever asks.

It is forked twice: the one in between ends at once, and the kernel gives its child to the nearest ancestor that adopts
orphans (prctl(2), PR_SET_CHILD_SUBREAPER), which is the one that asked. So a command is a child of its supervisor as if
that had started it itself: it is waited for there, dies with it, and does not notice when the fork server dies.

Linux alone can do this. `python -m supervisor.fork_server DESCRIPTOR MODULE…` is a fork server of its own, for a
supervisor that cannot fork it any more.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, NoReturn, Self

from supervisor.death_signal import die_with
from supervisor.forked import Forked
from supervisor.title import set_title

MAIN: Final = "cli.main"
_MODULE: Final = "supervisor.fork_server"
AVAILABLE: Final = sys.platform == "linux"
_PR_SET_CHILD_SUBREAPER: Final = 36
_M_ARENA_MAX: Final = -8  # mallopt(3)


@dataclass(frozen=True)
class Command:
    """`mozzart ARGUMENTS`; `module` is what it imports when it runs, and what the fork server imports before."""

    arguments: tuple[str, ...]
    module: str

    def program(self) -> list[str]:
        """The same as a program of its own, with all its imports before it."""
        return [sys.executable, "-m", MAIN, *self.arguments]


@dataclass(frozen=True)
class _Order:
    """All that a command needs to know, but for its descriptors."""

    arguments: Sequence[str]
    module: str
    environment: Mapping[str, str] = field(repr=False)
    directory: str


class ForkServer:
    """The end of whoever asks. Orders outlive the server: the next one takes those that this one did not."""

    def __init__(self, modules: Sequence[str]) -> None:
        """`modules` are imported, in this order, while nobody asks for anything."""
        self._modules = tuple(modules)
        self._orders, self._taker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        self._taker.close()

    @property
    def descriptor(self) -> int:
        """What `command` needs to inherit."""
        return self._taker.fileno()

    def command(self) -> list[str]:
        """A server that has to import everything anew."""
        return [sys.executable, "-m", _MODULE, str(self.descriptor), *self._modules]

    def fork(self) -> Forked:
        """A server that begins with what is imported here: it shares those modules, too. Only where there is no thread
        and no event loop yet."""
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        if pid := os.fork():
            return Forked(pid)
        try:
            self._orders.close()
            os.setsid()  # Ctrl-C in the terminal is our supervisor's business
            die_with(parent)
            serve(self._taker, self._modules)
        except BaseException:  # noqa: BLE001 - nothing may go up into what is our parent's
            traceback.print_exc()
        os._exit(1)

    def order(
        self, command: Command, environment: Mapping[str, str], directory: Path, output: int, error: int
    ) -> socket.socket:
        """Ask for a start; `started` takes what comes back. Closed before that, there will be none."""
        order = _Order(command.arguments, command.module, environment, str(directory.absolute()))
        ours, theirs = socket.socketpair()
        # In a file, so that an environment of any size blocks nobody.
        with theirs, os.fdopen(os.memfd_create("order"), "w+", encoding="utf-8") as file:
            json.dump(asdict(order), file)
            file.flush()
            socket.send_fds(self._orders, [b"."], [file.fileno(), theirs.fileno(), output, error])
        return ours


def started(answer: socket.socket) -> Forked:
    """The command of that order, at work from now on. Blocks until `answer` can be read; raises OSError when the fork
    server died over it, or when it could not become what was ordered and has said why."""
    said = answer.recv(20)
    if not said:
        raise ChildProcessError("the fork server did not start it")
    answer.sendall(b".")
    return Forked(int(said))


def adopt_orphans(adopt: bool = True) -> None:
    """Whether what descends from this process and has lost its parent becomes our child."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def serve(orders: socket.socket, modules: Sequence[str]) -> NoReturn:
    """Until the other end is closed."""
    set_title("mozzart", "fork-server")
    gc.disable()  # nothing in here is garbage
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started us may ignore it, and then nobody can be waited for
    supervisor, ahead = os.getppid(), list(modules)
    while True:
        if ahead and not select.select([orders], [], [], 0)[0]:
            _import(ahead.pop(0))
            continue
        said, descriptors, _, _ = socket.recv_fds(orders, 1, 4)
        if not said:
            os._exit(0)
        file, answer, output, error = descriptors
        with os.fdopen(file, encoding="utf-8") as text:
            text.seek(0)
            order = _Order(**json.load(text))
        with socket.socket(fileno=answer) as to:
            _import(order.module)
            gc.freeze()
            if select.select([to], [], [], 0)[0]:  # closed: it is not wanted any more
                pass
            elif between := os.fork():
                os.waitpid(between, 0)
            else:
                _leave_behind(order, supervisor, orders, to, (output, error))
        os.close(output)
        os.close(error)


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:  # noqa: BLE001 - it is a fault of the one command that needs it, and holds up no other
        traceback.print_exc()


def _leave_behind(
    order: _Order, supervisor: int, orders: socket.socket, answer: socket.socket, outputs: tuple[int, int]
) -> NoReturn:
    """The one between fork server and command."""
    between = os.getpid()
    try:
        if os.fork():
            os._exit(0)
        orders.close()
        with suppress(ProcessLookupError):  # it has ended
            descriptor = os.pidfd_open(between)
            select.select([descriptor], [], [])
            os.close(descriptor)
        die_with(supervisor)
        _become(order, outputs)
        if _wanted(answer):
            answer.close()
            _run(order)
    except SystemExit:  # the supervisor is gone
        pass
    except BaseException:  # noqa: BLE001 - nothing may go up into what is the fork server's
        traceback.print_exc()
    os._exit(1)


def _wanted(answer: socket.socket) -> bool:
    """Tell who we are; False when nobody listens any more."""
    try:
        answer.sendall(str(os.getpid()).encode())
        return bool(answer.recv(1))
    except ConnectionError:
        return False


def _become(order: _Order, outputs: tuple[int, int]) -> None:
    # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, and it stops its children in order.
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, *outputs)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.directory)
    time.tzset()
    for file, number in ((sys.stdout, 1), (sys.stderr, 2)):
        file.reconfigure(line_buffering=number == 2 or os.isatty(number))  # type: ignore[union-attr]
    # glibc read its own variables when the program began that all of us were forked from.
    if arenas := order.environment.get("MALLOC_ARENA_MAX"):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(arenas))
    set_title("mozzart", *order.arguments)


def _run(order: _Order) -> NoReturn:
    gc.enable()
    code: object = 0
    try:
        importlib.import_module(MAIN).main(order.arguments)
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by `sys.exit`: above us stands what belongs to those we were forked from.
    os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])


if __name__ == "__main__":
    main()
