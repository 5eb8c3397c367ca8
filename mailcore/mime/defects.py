"""What was wrong with a message, and how much work its oddities may still cost."""

from __future__ import annotations

from typing import Final

MAX_WORDS: Final = 20_000
MAX_PARAMETERS: Final = 50_000
MAX_ADDRESSES: Final = 100_000
MAX_ODD_ADDRESS_CHARACTERS: Final = 1 << 17


class Defects(dict[str, None]):
    """Short stable names, each once, in the order in which they were met.

    The counters are the work left for one message: everything here is linear, but what a byte costs differs by a factor
    of a thousand, and a hostile sender picks the dearest. No honest mail comes near.
    """

    __slots__ = ("addresses", "odd_address_characters", "parameters", "words")

    def __init__(self) -> None:
        super().__init__()
        self.words = MAX_WORDS
        self.parameters = MAX_PARAMETERS
        self.addresses = MAX_ADDRESSES
        self.odd_address_characters = MAX_ODD_ADDRESS_CHARACTERS

    def add(self, name: str) -> None:
        self[name] = None
