"""Which installation the api is of, proved without a secret: `mozzart doctor` asks whoever answers on its port."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

CHALLENGE: Final = "Mozzart-Challenge"
PROOF: Final = "Mozzart-Proof"
LONGEST: Final = 64


def proof(key: str, challenge: str) -> str:
    """Who knows the `key` of DATA_DIR/session.key answers a challenge so; what it is for is mixed in, as the key signs
    cookies, too."""
    return hmac.digest(key.encode(), f"installation {challenge}".encode(), hashlib.sha256).hex()
