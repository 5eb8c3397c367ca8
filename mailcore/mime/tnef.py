"""Files inside winmail.dat (TNEF, [MS-OXTNEF]). Never raises; linear."""

from __future__ import annotations

from typing import Final

from mailcore.mime.charset import Defects

_SIGNATURE: Final = b"\x78\x9f\x3e\x22"


def is_tnef(content_type: str, content: bytes) -> bool:
    return content.startswith(_SIGNATURE)


def tnef_files(content: bytes, defects: Defects) -> list[tuple[str, bytes]]:
    return []
