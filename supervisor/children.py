"""Child processes that are kept running: restarted with backoff, stopped in order, never left behind.

Everything happens on trio's main thread: Linux ties the death signal of a child to the thread that started it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NoReturn

import structlog
import trio

from mailcore.errors import MozzartError, SettingsError
from supervisor.fork_server import Command, ForkServer, started
from supervisor.forked import Forked

log = structlog.get_logger(__name__)

FIRST_DELAY: Final = 0.1
# Short: a mailbox that waits costs more than a start; and whatever kills them may kill all of them, again and again.
LONGEST_DELAY: Final = 2.0
# A child that lived this long was healthy: its next death is a new story.
HEALTHY_AFTER: Final = 5.0
_NOT_STARTED: Final = 1
_DEATH_SIGNAL: Final = Path(__file__).with_name("death_signal.py")


Process = subprocess.Popen[bytes] | Forked


@dataclass(frozen=True)
class Child:
    """One process to keep running.

    `what` is a command of ours, or gives the words of a program and is asked before each start. `ready` returns when
    the process of that id serves (None: at once). `output` takes its standard error, and its standard output unless
    `keep_stdout` (None: ours). `directory` is where it runs, `inherit` are descriptors that a program keeps open.
    `once`: exit code 0 ends it for good.
    """

    name: str
    what: Command | Callable[[], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ready: Callable[[int], Awaitable[None]] | None = None
    output: Path | None = None
    keep_stdout: bool = False
    directory: Path | None = None
    inherit: tuple[int, ...] = ()
    once: bool = False

    def with_environment(self, environment: Mapping[str, str]) -> Child:
        """The same child with more in its environment."""
        return replace(self, environment={**self.environment, **environment})


@dataclass
class _Watched:
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    grace: float = 1.0
    process: Process | None = None
    refusal: SettingsError | None = None
    # It was ready, or lived for a while: what it was told cannot be all wrong.
    proved: bool = False
    # Ready for the first time, or never going to be.
    settled: trio.Event = field(default_factory=trio.Event)
    gone: trio.Event = field(default_factory=trio.Event)


class Supervisor:
    """Keeps children running inside `nursery`; no task of it ever raises anything but a cancellation. `forks` starts
    our own commands; without it they are programs, too."""

    def __init__(self, nursery: trio.Nursery, forks: ForkServer | None) -> None:
        self._nursery = nursery
        self._forks = forks
        self._watched: dict[str, _Watched] = {}
        self._refusals: list[SettingsError] = []
        self._refused = trio.Event()

    def keep(self, child: Child, process: Process) -> None:
        """Keep a child running that runs already."""
        watched = self._watched[child.name] = _Watched(process=process)
        self._nursery.start_soon(self._keep_running, child, watched)

    def begin(self, *children: Child) -> None:
        """Start them; `settled` waits for them."""
        for child in children:
            watched = self._watched[child.name] = _Watched()
            self._nursery.start_soon(self._keep_running, child, watched)

    async def settled(self, *children: Child) -> None:
        """Returns when each is ready for the first time (a `once` child: has ended well).

        Raises SettingsError when a child says that only a person can mend what is wrong.
        """
        for child in children:
            watched = self._watched[child.name]
            await watched.settled.wait()
            if watched.refusal is not None:
                raise watched.refusal

    async def refused(self) -> NoReturn:
        """Raises SettingsError once a child, whenever that was, has said that only a person can mend what is wrong."""
        await self._refused.wait()
        raise self._refusals[0]

    async def start(self, *children: Child) -> None:
        """Both."""
        self.begin(*children)
        await self.settled(*children)

    async def stop(self, *names: str, grace: float) -> None:
        """SIGTERM to these children at once, SIGKILL to those that are still there after `grace` seconds."""
        watched = [self._watched[name] for name in names if name in self._watched]
        for one in watched:
            one.grace = grace
            one.scope.cancel()
        for one in watched:
            await one.gone.wait()

    def send(self, name: str, number: signal.Signals) -> bool:
        """A signal to the child, if it runs at this moment."""
        process = self._watched[name].process if name in self._watched else None
        if process is None:
            return False
        _signal(process, number)
        return True

    async def restart(self, name: str, grace: float) -> None:
        """End the child, by SIGKILL after `grace` seconds; it is started again as after any other end."""
        process = self._watched[name].process if name in self._watched else None
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        with trio.move_on_after(grace):
            await _wait(process)
        _signal(process, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to every child that is there now."""
        for one in self._watched.values():
            if one.process is not None:
                _signal(one.process, signal.SIGKILL)

    async def _keep_running(self, child: Child, watched: _Watched) -> None:
        delay = FIRST_DELAY
        try:
            with watched.scope:
                while True:
                    began = trio.current_time()
                    code = await self._run(child, watched)
                    if child.once and code == 0:
                        return
                    if trio.current_time() - began >= HEALTHY_AFTER:
                        delay, watched.proved = FIRST_DELAY, True
                    if code == os.EX_CONFIG and not watched.proved:
                        where = f"in {child.output}" if child.output else "above"
                        raise SettingsError(f"{child.name} could not start; its own words are {where}.")
                    log.warning("ended", child=child.name, how=how_it_ended(code), again_in=f"{delay:.1f}s")
                    await trio.sleep(delay)
                    delay = min(delay * 2, LONGEST_DELAY)
        except SettingsError as error:
            watched.refusal = error
            self._refusals.append(error)
            self._refused.set()
        finally:
            watched.settled.set()
            watched.gone.set()

    async def _run(self, child: Child, watched: _Watched) -> int:
        """One life of the child, from start to exit code; raises SettingsError when there is no such program."""
        try:
            process = watched.process = watched.process or await self._spawn(child)
        except OSError as error:
            log.error("not started", child=child.name, error=str(error))
            return _NOT_STARTED
        try:
            if await _until_ready(child, process) and not child.once:
                log.info("started", child=child.name, pid=process.pid)
                watched.proved = watched.proved or child.ready is not None
                watched.settled.set()
            await _wait(process)
        finally:
            with trio.CancelScope(shield=True):
                await _end(process, watched)
            watched.process = None
        return process.wait()

    async def _spawn(self, child: Child) -> Process:
        """Raises OSError."""
        with _output(child) as output:
            if not isinstance(child.what, Command):
                return _spawn_program(child, child.what(), output)
            if self._forks is None:
                return _spawn_program(child, child.what.program(), output)
            error = sys.stderr.fileno() if output is None else output
            outputs = sys.stdout.fileno() if child.keep_stdout or output is None else output, error
            environment = {**os.environ, **child.environment}
            with self._forks.order(child.what, environment, child.directory or Path.cwd(), *outputs) as answer:
                await trio.lowlevel.wait_readable(answer)
                return started(answer)


async def _until_ready(child: Child, process: Process) -> bool:
    """True when it got ready, False when it ended or failed before that (then it is killed)."""
    if child.ready is None:
        return True
    ready = False
    async with trio.open_nursery() as nursery:

        async def give_up_when_it_ends() -> None:
            await _wait(process)
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up_when_it_ends)
        try:
            await child.ready(process.pid)
            ready = True
        except MozzartError as error:
            log.error("not ready", child=child.name, error=str(error))
            _signal(process, signal.SIGKILL)
        nursery.cancel_scope.cancel()
    return ready


def how_it_ended(code: int | None) -> str:
    """A return code of subprocess in words."""
    if code is None:
        return "still running"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"


def _spawn_program(child: Child, words: Sequence[str], output: int | None) -> Process:
    # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the children in order.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_DEATH_SIGNAL), str(os.getpid()), *words],
        env={**os.environ, **child.environment},
        cwd=child.directory,
        stdin=subprocess.DEVNULL,
        stdout=None if child.keep_stdout else output,
        stderr=output,
        pass_fds=child.inherit,
        start_new_session=True,
    )


@contextmanager
def _output(child: Child) -> Iterator[int | None]:
    """The descriptor of what takes its output; None: ours."""
    if child.output is None:
        yield None
        return
    child.output.parent.mkdir(parents=True, exist_ok=True)
    # Its owner's alone: the api prints the token that it made.
    descriptor = os.open(child.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _wait(process: Process) -> None:
    """Until it has ended; safe to cancel and to ask several times."""
    if sys.platform == "linux" and process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
        process.wait()
    while process.poll() is None:  # noqa: ASYNC110 - elsewhere than on Linux nothing tells us
        await trio.sleep(0.05)


async def _end(process: Process, watched: _Watched) -> None:
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with trio.move_on_after(watched.grace):
            await _wait(process)
    if process.poll() is None:
        _signal(process, signal.SIGKILL)
        await _wait(process)


def _signal(process: Process, number: signal.Signals) -> None:
    # Popen looks whether it has ended before it sends: the id may be somebody else's by then.
    process.send_signal(number)
