"""What one check of `mozzart doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class Finding:
    """One line; `remedy` says what to do when it is not ok."""

    verdict: Verdict
    what: str
    text: str
    remedy: str = ""
