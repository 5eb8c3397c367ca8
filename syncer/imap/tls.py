"""TLS with verification, and the network's errors in our words."""

from __future__ import annotations

import os
import socket
import ssl
from functools import lru_cache
from pathlib import Path

from mailcore.errors import ConnectionLost, ImapError, TlsFailed
from syncer.imap.model import Endpoint


def context(endpoint: Endpoint) -> ssl.SSLContext:
    """Certificate and host name are always verified; `ca_file` replaces the system's authorities. Raises TlsFailed.

    To read the system's authorities takes 50 ms of processor time: done once, and again when the file changed.
    """
    try:
        return _context(endpoint.ca_file, _version(endpoint.ca_file))
    except (OSError, ValueError) as error:
        raise TlsFailed(f"{endpoint.setting('ca_file')} {endpoint.ca_file} cannot be used: {error}") from error


@lru_cache(maxsize=64)
def _context(ca_file: Path | None, version: tuple[int, int] | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _version(ca_file: Path | None) -> tuple[int, int] | None:
    """Changes when the file (or the system's) does."""
    path = ca_file or ssl.get_default_verify_paths().cafile
    if path is None:
        return None
    facts = Path(path).stat()
    return facts.st_mtime_ns, facts.st_size


def failure(endpoint: Endpoint, error: BaseException) -> ImapError:
    """What went wrong while connecting."""
    if isinstance(error, ImapError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(
            f"{endpoint}: the server's certificate is not trusted: {error.verify_message}. "
            f"If the server has an authority of its own, name its PEM file in {endpoint.setting('ca_file')}"
        )
    if isinstance(error, ssl.SSLError):
        return TlsFailed(
            f"{endpoint}: TLS failed: {error.reason or error}. "
            f"Check {endpoint.setting('port')}, {endpoint.setting('use_ssl')} and {endpoint.setting('starttls')}"
        )
    if isinstance(error, socket.gaierror):
        check = endpoint.setting("host")
        return ConnectionLost(f"{endpoint}: the host name was not found: {error.strerror}. Check {check}")
    # asyncio's own text of a refusal is the address once more.
    errno = error.errno if isinstance(error, OSError) else None
    return ConnectionLost(f"{endpoint}: could not connect: {os.strerror(errno) if errno else error}")


def keep_alive(made: socket.socket) -> None:
    """A peer that is gone without a word is noticed within two minutes, also while we idle."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        option = getattr(socket, name, None)  # not all systems have them
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
