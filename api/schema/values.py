"""What parameters are made of."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_LARGEST_ROW_ID: Final = 2**63 - 1


class Query(BaseModel):
    """Parameters of a path, a query or headers. Unknown names are errors: a mistyped filter finds nothing, not all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """The body of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _true_or_false(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("must be true or false")


RowId = Annotated[int, Field(ge=1, le=_LARGEST_ROW_ID)]
"""What SQLite and PostgreSQL can take as a key."""

Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
"""A text for the database; PostgreSQL takes no NUL."""

Flag = Annotated[bool, BeforeValidator(_true_or_false)]
"""`true` or `false` in a query; pydantic alone would take `on`, `y` and `1` too."""
