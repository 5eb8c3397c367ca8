"""DNS and autoconfig as they are asked, against a name server of our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rrset
import pytest
import pytest_asyncio

from mailcore.discovery import lookup
from mailcore.discovery.decision import Service

pytestmark = pytest.mark.asyncio
ZONE = {
    ("example.org.", "MX"): ["20 second.example.", "10 aspmx.l.google.com."],
    ("_imaps._tcp.example.org.", "SRV"): ["0 1 993 imap.example.org."],
}


class NameServer(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        kind = question.rdtype.name
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if records := ZONE.get((question.name.to_text(), kind)):
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, records))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)


@pytest_asyncio.fixture
async def name_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    of = dns.asyncresolver.Resolver

    def ours() -> dns.asyncresolver.Resolver:
        resolver = of(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        return resolver

    monkeypatch.setattr(dns.asyncresolver, "Resolver", ours)
    yield
    transport.close()


@pytest.mark.usefixtures("name_server")
async def test_dns_is_asked_for_all_and_a_hosted_domain_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def text(url: str) -> str:
        asked.append(url)
        return ""

    monkeypatch.setattr(lookup, "_text", text)
    heard = await lookup.hear("anna@example.org", "example.org")
    assert heard.exchangers == ["aspmx.l.google.com.", "second.example."]
    assert heard.imaps == [Service(0, 1, 993, "imap.example.org.")]
    assert heard.imap == []
    assert [url for url in asked if "anna" in url] == [
        "https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=anna%40example.org"
    ]
    found = await lookup.discover("anna@example.org")
    assert found is not None
    assert found.host == "imap.gmail.com"
    assert await lookup.discover("anna@nobody.example") is None
