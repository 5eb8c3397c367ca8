"""What was heard of an address → its server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.discovery.decision import Found, Heard, Service, by_address, decide, domain_of
from mailcore.discovery.preset import PRESETS

CONFIGURATION = """<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="example.org">
  <incomingServer type="pop3"><hostname>pop.example.org</hostname><port>995</port></incomingServer>
  <incomingServer type="imap"><hostname>plain.example.org</hostname><socketType>plain</socketType></incomingServer>
  <incomingServer type="imap">
    <hostname>imap.%EMAILDOMAIN%</hostname><port>143</port><socketType>STARTTLS</socketType>
    <username>%EMAILLOCALPART%</username>
  </incomingServer></emailProvider></clientConfig>"""  # fmt: skip


def place(found: Found | None) -> tuple[str, int, str, str] | None:
    return None if found is None else (found.host, found.port, found.tls, found.user)


@pytest.mark.parametrize(
    ("address", "host", "way"),
    [
        ("anna@gmail.com", "imap.gmail.com", "google"),
        ("Anna@HOTMAIL.com", "outlook.office365.com", "microsoft"),
        ("anna@icloud.com", "imap.mail.me.com", "password"),
    ],
)
def test_a_provider_is_known_by_the_address(address: str, host: str, way: str) -> None:
    found = by_address(address)
    assert found is not None
    assert (place(found), found.way) == ((host, 993, "tls", address), way)


@pytest.mark.parametrize(
    ("exchanger", "name"),
    [
        ("aspmx.l.google.com.", "Google Workspace"),
        ("example-org.mail.protection.outlook.com.", "Microsoft 365"),
        ("in1-smtp.messagingengine.com.", "Fastmail"),
        ("mx1.hostinger.com", "Hostinger"),
    ],
)
def test_a_hosted_domain_is_known_by_its_mx(exchanger: str, name: str) -> None:
    found = decide("anna@example.org", Heard([exchanger, "mx.elsewhere.example."]))
    assert found is not None
    assert found.preset is not None
    assert found.preset.name == name
    assert exchanger.rstrip(".") in found.source


def test_a_name_that_only_ends_alike_is_not_taken_for_a_provider() -> None:
    assert decide("anna@example.org", Heard(["aspmx.evilgoogle.com.", "aspmx.l.google.com."])) is None


def test_srv_comes_before_autoconfig_tls_before_starttls_and_the_preferred_first() -> None:
    imaps = [
        Service(20, 0, 993, "b.example.org."),
        Service(10, 0, 993, "a.example.org."),
        Service(10, 5, 994, "c.example.org."),
    ]
    imap = [Service(0, 0, 143, "d.example.org.")]
    assert place(decide("anna@example.org", Heard((), CONFIGURATION, imaps, imap))) == (
        ("c.example.org", 994, "tls", "anna@example.org")
    )
    assert place(decide("anna@example.org", Heard((), CONFIGURATION, (), imap))) == (
        ("d.example.org", 143, "starttls", "anna@example.org")
    )


def test_a_service_that_is_expressly_not_offered_is_none() -> None:
    assert decide("anna@example.org", Heard(imaps=[Service(0, 0, 0, ".")])) is None


def test_autoconfig_is_read_and_plaintext_never_taken() -> None:
    assert place(decide("anna@example.org", Heard(configuration=CONFIGURATION))) == (
        ("imap.example.org", 143, "starttls", "anna")
    )


@given(
    st.text(),
    st.text(),
    st.lists(st.text(), max_size=2),
    st.lists(st.builds(Service, st.integers(), st.integers(), st.integers(), st.text()), max_size=2),
)
def test_whatever_is_heard_a_server_is_a_name_with_tls(
    address: str, text: str, exchangers: list[str], services: list[Service]
) -> None:
    found = decide(
        address, Heard(exchangers, f'<incomingServer type="imap">{text}</incomingServer>', services, services)
    )
    if found is not None:
        assert domain_of(f"x@{found.host}") == found.host
        assert found.tls in ("tls", "starttls")
        assert 0 < found.port < 65536


@pytest.mark.parametrize(
    "text", ["", "anna", "anna@", "@example.org", "anna@localhost", "anna@exa mple.org", "anna@a..b"]
)
def test_what_is_no_address_has_no_domain(text: str) -> None:
    assert domain_of(text) is None


def test_a_domain_is_asked_for_in_ascii() -> None:
    assert domain_of("anna@Bücher.example") == "xn--bcher-kva.example"


def test_no_domain_and_no_exchanger_is_that_of_two_presets() -> None:
    for names in ([d for one in PRESETS for d in one.domains], [e for one in PRESETS for e in one.exchangers]):
        assert len(names) == len(set(names))
