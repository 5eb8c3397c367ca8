"""Path parameters of which the HTTP client of schemathesis makes another path (`/things//`, `/things/%2E/`).

It would take that path's answer for this one's.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import schemathesis

_VANISHING = ("", ".", "..")
_INSTEAD = "0"


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    case.path_parameters = {
        name: _INSTEAD if unquote(str(value)) in _VANISHING else value for name, value in case.path_parameters.items()
    }
