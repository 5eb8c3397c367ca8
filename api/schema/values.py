"""What parameters are made of."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

_LARGEST_ROW_ID: Final = 2**63 - 1
_DAY: Final = r"\d{4}-\d{2}-\d{2}"
# int and number of RFC 8259 §6
_WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
# date-time of RFC 3339 §5.6
_MOMENT: Final = re.compile(_DAY + r"[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.IGNORECASE | re.ASCII)


class Query(BaseModel):
    """Parameters of a path, a query or headers. Unknown names are errors: a mistyped filter finds nothing, not all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """The body of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _writable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _true_or_false(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("must be true or false")


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        raise ValueError("must be a whole number")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError("must be a number")
    return value


def _timestamp(value: Any) -> Any:
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("must be a time like 2026-01-31T12:00:00Z")
    return value


def _day(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(_DAY, value, re.ASCII):
        raise ValueError("must be a date like 2026-01-31")
    return value


# Outermost, so that the limits within stand in the description.
WHOLE: Final = BeforeValidator(_whole_number)
"""An integer of JSON; pydantic alone would take `1_0` and `+1` too."""
NUMBER: Final = BeforeValidator(_number)
"""A number of JSON."""
RowId = Annotated[int, Field(ge=1, le=_LARGEST_ROW_ID), WHOLE]
"""What SQLite and PostgreSQL can take as a key."""
PageSize = Annotated[int, Field(ge=1, le=200), WHOLE]
"""The most entries of a page."""
Name = Annotated[str, AfterValidator(_writable)]
"""Of an account or a mailbox: one that is no modified UTF-7 has lone surrogates, which JSON cannot carry."""
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
"""A text for the database; PostgreSQL takes no NUL."""

Flag = Annotated[bool, BeforeValidator(_true_or_false)]
"""`true` or `false` in a query; pydantic alone would take `on`, `y` and `1` too."""

Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp)]
"""A time of RFC 3339; pydantic alone would take numbers as seconds since 1970."""

Day = Annotated[date, BeforeValidator(_day)]
"""A date of RFC 3339."""
