"""TLS with verification, and the network's errors in our words."""

from __future__ import annotations

import socket
import ssl

from mailcore.errors import ConnectionLost, ImapError, TlsFailed
from syncer.imap.model import Endpoint


def context(endpoint: Endpoint) -> ssl.SSLContext:
    """Certificate and host name are always verified; `ca_file` replaces the system's authorities. Raises TlsFailed."""
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ValueError) as error:
        raise TlsFailed(f"IMAP_CA_FILE {endpoint.ca_file} cannot be used: {error}") from error


def failure(endpoint: Endpoint, error: BaseException) -> ImapError:
    """What went wrong while connecting."""
    if isinstance(error, ImapError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(
            f"{endpoint}: the server's certificate is not trusted: {error.verify_message}. "
            f"If the server has an authority of its own, name its PEM file in IMAP_CA_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return TlsFailed(
            f"{endpoint}: TLS failed: {error.reason or error}. Check IMAP_PORT, IMAP_USE_SSL and IMAP_STARTTLS"
        )
    if isinstance(error, socket.gaierror):
        return ConnectionLost(f"{endpoint}: the host name was not found: {error.strerror}. Check IMAP_HOST")
    return ConnectionLost(f"{endpoint}: could not connect: {error}")


def keep_alive(made: socket.socket) -> None:
    """A peer that is gone without a word is noticed within two minutes, also while we idle."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        option = getattr(socket, name, None)  # not all systems have them
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
