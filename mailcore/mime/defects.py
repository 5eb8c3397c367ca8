"""What was wrong with a message, and how much work its oddities may still cost."""

from __future__ import annotations

from typing import Final

MAX_WORDS: Final = 20_000
MAX_PARAMETERS: Final = 50_000
MAX_ADDRESSES: Final = 100_000
MAX_ODD_ADDRESS_CHARACTERS: Final = 1 << 17
MAX_DETECTED: Final = 1 << 18


MEANINGS: Final = {
    "8bit-header": "a header holds bytes that are not UTF-8; their charset was guessed",
    "bad-address": "an address list breaks RFC 5322",
    "bad-base64": "a part's base64 holds foreign bytes, or ends too soon; what decodes was kept",
    "bad-charset": "a text is not in the charset that it declares",
    "bad-content-type": "a Content-Type that is no type",
    "bad-date": "a Date that cannot be read",
    "bad-encoded-word": "an encoded word (RFC 2047) that is not closed or does not decode",
    "bad-header": "lines in a header that are no field",
    "bad-parameter": "a parameter that breaks RFC 2231",
    "bad-quoted-printable": "a part's quoted-printable holds `=` where none may be",
    "bad-tnef": "a winmail.dat that breaks off",
    "bad-uuencode": "a part that claims to be uuencoded and is not",
    "bare-cr": "all line ends are CR",
    "blank-before-header": "empty lines before the header",
    "body-too-large": "the text is longer than a row holds; its beginning is the body, the whole an attachment",
    "byte-order-mark": "a byte order mark before the header",
    "guessed-date": "a Date that leaves room for doubt, such as one without a zone (then UTC); it was guessed",
    "header-too-large": "a header is longer than anyone writes; what is beyond was not read",
    "missing-boundary": "a multipart that names no boundary, or in which it does not occur",
    "missing-header": "no header at all",
    "nul": "NUL characters in text, left out",
    "parts-after-close": "parts behind the closing delimiter; they were kept",
    "tnef": "a winmail.dat; the files in it are attachments too",
    "too-deep": "multiparts nested beyond the cap; what is inside is one attachment",
    "too-many-addresses": "more addresses than were read",
    "too-many-encoded-words": "more encoded words than were decoded",
    "too-many-parameters": "more parameters than were read",
    "too-many-parts": "more parts than are taken apart; the rest is one attachment",
    "truncated": "the message ends where a part begins",
    "unclosed-multipart": "the closing delimiter is missing",
    "undeclared-8bit": "8-bit text that is not UTF-8 under no usable charset; it was guessed",
    "undeclared-iso-2022": "7-bit text that switches character sets (ISO-2022-JP, -KR) without a charset that says so",
    "unknown-charset": "a charset that nobody knows",
    "unknown-transfer-encoding": "a transfer encoding that nobody knows; the bytes were kept as they are",
    "uuencode": "uuencoded files in a text; they are attachments",
}
"""Every name that `parse()` gives. The names are stored: they may be added to, not changed."""


class Defects(dict[str, None]):
    """Short stable names, each once, in the order in which they were met.

    The counters are the work left for one message: everything here is linear, but what a byte costs differs by a factor
    of a thousand, and a hostile sender picks the dearest. No honest mail comes near.
    """

    __slots__ = ("addresses", "detected", "odd_address_characters", "parameters", "words")

    def __init__(self) -> None:
        super().__init__()
        self.words = MAX_WORDS
        self.parameters = MAX_PARAMETERS
        self.addresses = MAX_ADDRESSES
        self.detected = MAX_DETECTED  # bytes that the detector of charsets may still look at
        self.odd_address_characters = MAX_ODD_ADDRESS_CHARACTERS

    def add(self, name: str) -> None:
        self[name] = None
