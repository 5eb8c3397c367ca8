"""The kinds of field that the events share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from mailcore.events.identity import MAX_UID

_ERROR_CHARACTERS: Final = 2_000


def _tell(error: object) -> object:
    """An error's words fit into an event whatever they quote: no lone surrogate, no whole message."""
    return error[:_ERROR_CHARACTERS].encode("utf-8", "replace").decode() if isinstance(error, str) else error


def _cut(characters: int) -> BeforeValidator:
    return BeforeValidator(lambda text: text[:characters] if isinstance(text, str) else text)


def first(count: int) -> BeforeValidator:
    """Of a list these are kept."""
    return BeforeValidator(lambda many: many[:count] if isinstance(many, list | tuple) else many)


# What a sender can make as long as he likes is cut, so that an event fits into a NATS message whatever the mail.
LISTED: Final = 100
Text = Annotated[str, _cut(1_000)]
Name = Annotated[str, _cut(255)]
Address = Annotated[str, _cut(320)]
Addresses = Annotated[tuple[Address, ...], first(LISTED)]
Number = Annotated[int, Field(gt=0, le=MAX_UID)]
Modseq = Annotated[int, Field(gt=0, lt=1 << 63)]  # RFC 7162 §7
Count = Annotated[int, Field(ge=0)]
ErrorText = Annotated[str, BeforeValidator(_tell)]
