"""What schemathesis sends, as the api needs it.

Path parameters of which its HTTP client makes another path (`/things//`, `/things/%2E/`) become others: it would take
that path's answer for this one's. And each request is another client's, behind a proxy of ours: it tries more wrong
tokens than one client may.
"""

from __future__ import annotations

from itertools import count
from typing import Any
from urllib.parse import unquote

import schemathesis

_VANISHING = ("", ".", "..")
_INSTEAD = "0"
_clients = count(1)


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, __: dict[str, Any]) -> None:
    case.path_parameters = {
        name: _INSTEAD if unquote(str(value)) in _VANISHING else value for name, value in case.path_parameters.items()
    }
    number = next(_clients)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
