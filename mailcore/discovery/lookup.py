"""Who is asked about a mail address: DNS, and over https Mozilla's database and the domain itself."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import dns.asyncresolver
import dns.exception
from dns.rdatatype import RdataType

from mailcore.discovery.decision import Found, Heard, Service, by_address, decide, domain_of

WITHIN: Final = 8.0  # seconds, for everything together
_LARGEST: Final = 256 << 10


async def discover(address: str) -> Found | None:
    """What is known of it; a preset needs nobody. Never raises for what does not answer."""
    if (found := by_address(address)) is not None:
        return found
    domain = domain_of(address)
    return decide(address, await hear(address, domain)) if domain is not None else None


async def hear(address: str, domain: str) -> Heard:
    """All are asked at once. The address itself is told to its own domain alone."""
    query = urlencode({"emailaddress": address})
    exchangers, imaps, imap, *texts = await asyncio.gather(
        _exchangers(domain),
        _services(f"_imaps._tcp.{domain}"),
        _services(f"_imap._tcp.{domain}"),
        _text(f"https://autoconfig.{domain}/mail/config-v1.1.xml?{query}"),
        _text(f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
        _text(f"https://autoconfig.thunderbird.net/v1.1/{domain}"),
    )
    return Heard(exchangers, "\n".join(texts), imaps, imap)


async def _exchangers(domain: str) -> list[str]:
    found = await _asked(domain, "MX")
    return [str(one.exchange) for one in sorted(found, key=lambda one: one.preference)]


async def _services(name: str) -> list[Service]:
    return [Service(one.priority, one.weight, one.port, str(one.target)) for one in await _asked(name, "SRV")]


async def _asked(name: str, kind: str) -> list[Any]:
    """[] where there is none, and where nobody answers."""
    resolver = dns.asyncresolver.Resolver()
    try:
        return list(await resolver.resolve(name, RdataType[kind], lifetime=WITHIN))
    except (dns.exception.DNSException, OSError):
        return []


async def _text(url: str) -> str:
    """ "" for what is not there."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN), trust_env=True) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            content = await response.content.read(_LARGEST)
            return content.decode("utf-8", "replace") if response.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return ""
