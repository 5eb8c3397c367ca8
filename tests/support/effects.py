"""The effects of a process on the world, one system call each, and its death at any of them (strace(1))."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tests.support.programs import find_program

# What others can see: bytes that leave, and files that change.
CALLS: Final = (
    "write writev pwrite64 sendto sendmsg fsync fdatasync ftruncate rename renameat renameat2 link linkat unlink "
    "unlinkat mkdir mkdirat"
).split()
_CALL: Final = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Point:
    """The `number`-th call of that name in any one thread."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


@dataclass
class Tracer:
    """For `fork(before=…)`: strace on a process that has not begun. It is killed when it enters `point`, before the
    call is made; without one its calls are written down."""

    notes: Path
    point: Point | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def attach(self, pid: int) -> None:
        calls = (self.point.call,) if self.point else CALLS
        command = [find_program("strace", "strace"), "-f", "-o", str(self.notes), "-s", "0"]
        command += ["-e", f"trace={','.join(calls)}"]
        if self.point:
            command += ["-e", f"inject={self.point.call}:signal=KILL:when={self.point.number}"]
        process = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, start_new_session=True)
        assert process.stderr is not None
        self._process = process
        _until_attached(process.stderr)

    def wait(self) -> None:
        """It ends with what it traces."""
        if self._process is not None:
            assert self._process.stderr is not None
            self._process.communicate(timeout=20)

    def points(self) -> list[Point]:
        """Of every thread, as far as the one went that went farthest."""
        seen = Counter(_CALL.findall(self.notes.read_text()))
        most: dict[str, int] = {}
        for (_, call), count in seen.items():
            most[call] = max(most.get(call, 0), count)
        return [Point(call, number) for call in sorted(most) for number in range(1, most[call] + 1)]


def _until_attached(errors: IO[bytes]) -> None:
    said = b""
    while b"attached" not in said:
        line = errors.readline()
        assert line, f"strace: {said.decode()}"
        said += line
