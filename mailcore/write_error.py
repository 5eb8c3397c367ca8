"""A stream whose file store is in error: nats-server answers for it and stores nothing, until it is started again.

One write that failed, as on a disk that was full for a moment, is remembered for good: a publish gets no PubAck, not
even a refusal. The deletion of a sequence that no stream ever reaches touches nothing and is always refused, where the
store is in error with the words of the system, which nobody else is told. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

NOWHERE: Final = {"seq": 1 << 62, "no_erase": True}
QUESTION: Final = json.dumps(NOWHERE).encode()
# As Go says what failed: operation, path, reason ("write /nats/…/1.blk: no space left on device"). A store that is well
# has no such message ("stream store EOF").
_FAILED: Final = re.compile(r"[a-z]+ \S.*: \S")


def question(stream: str) -> str:
    """The subject that QUESTION, which is NOWHERE, goes to."""
    return f"$JS.API.STREAM.MSG.DELETE.{stream}"


def write_error(answer: bytes) -> str:
    """What the system said when the store failed; "" when it did not, or the answer does not tell."""
    try:
        said = json.loads(answer)["error"]["description"]
    except (ValueError, TypeError, LookupError):
        return ""
    return failure(str(said))


def failure(said: str) -> str:
    """The same of the description alone."""
    return said[:300] if _FAILED.match(said) else ""


def words(found: Mapping[str, str]) -> str:
    """For a person, what NATS does; `found` is what the system said, by stream."""
    said = "; ".join(sorted(set(found.values())))
    return (
        f"it stores nothing in {', '.join(sorted(found))} since a write failed ({said}): make room there, then restart "
        "nats-server; `mozzart up` restarts its own by itself"
    )
