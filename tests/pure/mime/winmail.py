"""Writes TNEF as [MS-OXTNEF] describes it, for the tests."""

from __future__ import annotations

SIGNATURE = b"\x78\x9f\x3e\x22"
TITLE, DATA, REND_DATA, ATTACHMENT, CODEPAGE = 0x00018010, 0x0006800F, 0x00069002, 0x00069005, 0x00069007


def attribute(level: int, name: int, value: bytes) -> bytes:
    head = bytes([level]) + name.to_bytes(4, "little") + len(value).to_bytes(4, "little")
    return head + value + (sum(value) & 0xFFFF).to_bytes(2, "little")


def padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def mapi_property(tag: int, kind: int, value: bytes) -> bytes:
    head = kind.to_bytes(2, "little") + tag.to_bytes(2, "little")
    if tag >= 0x8000:  # a named property: GUID, kind 1, name
        name = "Keyword".encode("utf-16-le") + b"\0\0"
        head += bytes(16) + (1).to_bytes(4, "little") + len(name).to_bytes(4, "little") + padded(name)
    if kind in (0x0003, 0x000B):
        return head + padded(value)
    return head + (1).to_bytes(4, "little") + len(value).to_bytes(4, "little") + padded(value)


def properties(*items: bytes) -> bytes:
    return len(items).to_bytes(4, "little") + b"".join(items)


def attached(title: str, data: bytes, *items: bytes) -> bytes:
    """The attributes of one attached file."""
    return (
        attribute(2, REND_DATA, bytes(14))
        + attribute(2, TITLE, title.encode("cp1252") + b"\0")
        + attribute(2, DATA, data)
        + (attribute(2, ATTACHMENT, properties(*items)) if items else b"")
    )


def winmail(*attachments: bytes) -> bytes:
    head = SIGNATURE + b"\x01\x00" + attribute(1, 0x00089006, b"\x00\x00\x01\x00")
    return head + attribute(1, CODEPAGE, (1252).to_bytes(8, "little")) + b"".join(attachments)
