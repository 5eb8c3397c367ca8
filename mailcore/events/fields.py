"""The kinds of field that the events share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from mailcore.events.identity import MAX_UID

_ERROR_CHARACTERS: Final = 2_000


def _tell(error: object) -> object:
    """An error's words fit into an event whatever they quote: no lone surrogate, no whole message."""
    return error[:_ERROR_CHARACTERS].encode("utf-8", "replace").decode() if isinstance(error, str) else error


Number = Annotated[int, Field(gt=0, le=MAX_UID)]
Modseq = Annotated[int, Field(gt=0, lt=1 << 63)]  # RFC 7162 §7
Count = Annotated[int, Field(ge=0)]
ErrorText = Annotated[str, BeforeValidator(_tell)]
