"""What libraries do when they are imported, and none of our processes needs: imports are most of each start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# OpenSSL's, read whenever the authorities of the system are asked for.
_AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def without(module: str) -> Iterator[None]:
    """What is imported meanwhile finds that there is no such module, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as the import system has it
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def without_authorities() -> Iterator[None]:
    """A TLS context that is made meanwhile trusts nobody. aiohttp makes two when it is imported, for clients that bring
    none of their own: the certificates of all authorities would be read twice."""
    before = {name: os.environ.get(name) for name in _AUTHORITIES}
    os.environ.update(dict.fromkeys(_AUTHORITIES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
