"""The proxy goes silent as a firewall does: nobody is told."""

from __future__ import annotations

import imaplib
from collections.abc import Callable

import pytest

from tests.support.dovecot import Dovecot
from tests.support.proxy import Proxy


def test_the_proxy_passes_bytes_on_until_it_goes_silent_and_new_connections_work(
    dovecot: Dovecot, make_proxy: Callable[[int], Proxy]
) -> None:
    proxy = make_proxy(dovecot.port)
    old = imaplib.IMAP4("127.0.0.1", proxy.port, timeout=0.5)
    assert old.noop()[0] == "OK"
    passed = proxy.octets

    assert proxy.go_silent() == 1
    with pytest.raises(TimeoutError):
        old.noop()
    assert proxy.octets == passed

    with imaplib.IMAP4("127.0.0.1", proxy.port, timeout=5) as new:
        assert new.noop()[0] == "OK"
    old.shutdown()
