"""The garbage collector of our processes.

Mail is freed by reference counts; the collector only looks for cycles, by walking over what is alive: at its defaults
it took a tenth of the processor time of a backfill, and of each start, and a fifth of a second at each end.
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 50_000  # objects more than were freed before it looks at the young ones (Python: 700)


def collect_rarely() -> None:
    """Once, at the start."""
    gc.set_threshold(_YOUNG, 20, 20)


def freeze() -> None:
    """When all is imported, and at the end: what is there now is never looked at again."""
    gc.freeze()
