"""`python -m mailcore.html.worker`: makes documents of messages' HTML, each in a process of its own that the system
ends when it takes too much.

Questions come by standard input and answers go to standard output, each as four bytes of length (big-endian) and
JSON: `{"html", "pictures", "elsewhere"}`, and the members of `MailDocument`. It ends with its input.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from mailcore.html.document import TOO_LONG, MailDocument, as_text, document

# Processor time, as so many times what the sample takes here: HTML of the largest size that is shown takes 30.
_PATIENCE: Final = 50
_SAMPLE: Final = (
    '<table width="100%" style="border:0;padding:4px"><tr><td align="left" style="font-family:Arial;color:#333">'
    '<a href="https://example.org/x?y=1">Hello</a> and <b>more</b> text that goes on a while</td></tr></table>'
) * 50
_MEMORY: Final = 48 << 20  # bytes beyond what the process has when it begins
_SIZE: Final = Path("/proc/self/statm")


def main() -> None:
    """Until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # whoever signs in comes first
    patience = _PATIENCE * min(_takes(_SAMPLE) for _ in range(3))
    while (question := receive(sys.stdin.buffer)) is not None:
        if not _answered(question, patience):
            send(sys.stdout.buffer, asdict(as_text(question["html"], TOO_LONG)))


def receive(stream: BinaryIO) -> dict[str, Any] | None:
    """The next one, or None at the end."""
    if len(head := stream.read(4)) < 4:
        return None
    value: dict[str, Any] = json.loads(stream.read(int.from_bytes(head)))
    return value


def send(stream: BinaryIO, value: dict[str, Any]) -> None:
    stream.write(encode(value))
    stream.flush()


def encode(value: dict[str, Any]) -> bytes:
    raw = json.dumps(value).encode()
    return len(raw).to_bytes(4) + raw


def _takes(html: str) -> float:
    began = time.process_time()
    document(html, {})
    return time.process_time() - began


def _answered(question: dict[str, Any], patience: float) -> bool:
    """Whether a child of ours has written the answer."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        made = _within_limits(question, patience)
        send(sys.stdout.buffer, asdict(made))
    except MemoryError:
        os._exit(1)
    os._exit(0)


def _within_limits(question: dict[str, Any], patience: float) -> MailDocument:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _SIZE.exists():  # Linux; elsewhere the time is the limit
        most = int(_SIZE.read_text().split()[0]) * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.setitimer(signal.ITIMER_PROF, patience)
    made = document(question["html"], question["pictures"], elsewhere=question["elsewhere"])
    signal.setitimer(signal.ITIMER_PROF, 0)
    return made


if __name__ == "__main__":
    main()
