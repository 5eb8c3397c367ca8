"""docs/asyncapi.yaml: every subject of ours as an AsyncAPI 3 document, made from the event classes."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

from mailcore.events import control
from mailcore.events.message import Kind
from mailcore.events.thin import TYPES

VERSION: Final = "1.0.0"
_HEADER: Final = "# Made by `python -m mailcore.events.schemas`; a test fails when code and file differ.\n"
_MESSAGE: Final = {
    Kind.NEW: "A message that arrived since its account was first seen.",
    Kind.BACKFILL: "A message that was there before its account was first seen.",
    Kind.COPY: "A message whose bytes the account has already under another identity: moved, copied, labelled.",
}
_PARAMETERS: Final = {name: {"$ref": f"#/components/parameters/{name}"} for name in ("account", "mailbox")}


def document() -> dict[str, Any]:
    """The whole document; its schemas are the files beside it."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}

    def publishes(name: str, address: str, summary: str, message: dict[str, Any]) -> None:
        messages[name] = {"name": name, "summary": summary, **message}
        channels[name] = _channel(address, name, _PARAMETERS)
        operations[f"publish-{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": summary,
        }

    for kind, summary in _MESSAGE.items():
        publishes(kind.value, f"mail.{{account}}.{{mailbox}}.{kind.value}", summary, _rfc822("message-headers"))
    for kind_of_thin, cls in TYPES.items():
        thin = {"contentType": "application/json", "headers": _schema("thin-headers"), "payload": _schema(kind_of_thin)}
        publishes(kind_of_thin, f"mail.{{account}}.{{mailbox}}.{kind_of_thin}", _summary(cls), thin)
    publishes(
        "dead-letter",
        "dead.{account}.{mailbox}",
        "A message that could not be stored, with its bytes and its error.",
        _rfc822("dead-letter-headers"),
    )

    for name, subject, request, reply in (
        ("sync-start", control.START, "sync-start", "sync-run"),
        ("sync-part", control.PART, "part-request", "message-part"),
        ("sync-result", control.RESULT, "sync-result", "sync-run"),
        ("sync-states", control.STATES, None, "mailbox-states"),
        ("sync-accounts", control.ACCOUNTS, None, "account-states"),
        ("sync-reread", control.REREAD, None, "account-states"),
        ("sync-trial", control.TRIAL, "trial-request", "trial"),
    ):
        messages[name] = {"name": name, "contentType": "application/json"}
        if request is not None:
            messages[name]["payload"] = _schema(request)
        messages[f"{name}-reply"] = {
            "name": f"{name}-reply",
            "contentType": "application/json",
            "payload": {"oneOf": [_schema(reply), _schema("refusal")]},
        }
        channels[name] = _channel(subject, name)
        channels[f"{name}-reply"] = _channel(None, f"{name}-reply")
        operations[f"answer-{name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "reply": {
                "address": {"location": "$message.header#/reply", "description": "NATS request/reply: the inbox"},
                "channel": {"$ref": f"#/channels/{name}-reply"},
            },
        }

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mozzart Mailbox Sync",
            "version": VERSION,
            "description": "Mail out of IMAP mailboxes: what is published in NATS, and what the syncer answers. "
            "docs/events.md explains it.",
            "license": {"name": "GPL-3.0-or-later"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "parameters": {
                "account": {"description": "The account's name as a subject token."},
                "mailbox": {"description": "The mailbox's name as a subject token."},
            },
            "messages": messages,
        },
    }


def text() -> str:
    """The document as YAML."""
    return _HEADER + _yaml(document(), 0)


def _channel(address: str | None, message: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    channel: dict[str, Any] = {"address": address, "messages": {message: {"$ref": f"#/components/messages/{message}"}}}
    if parameters:
        channel["parameters"] = parameters
    return channel


def _rfc822(headers: str) -> dict[str, Any]:
    return {
        "contentType": "message/rfc822",
        "headers": _schema(headers),
        "payload": {"type": "string", "format": "binary", "description": "RFC 5322 bytes; empty with ce-dataref"},
    }


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"./schemas/{name}.v1.json"}


def _summary(cls: type) -> str:
    """The first sentence of the docstring."""
    return " ".join(inspect.getdoc(cls).split()).partition(". ")[0].rstrip(".") + "."  # type: ignore[union-attr]  # each has one


def _yaml(value: Any, depth: int) -> str:
    """Block style for mappings and lists, JSON (which YAML contains) for all else."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{_key(key)}:{_below(item, depth)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_below(item, depth)}" for item in value)
    raise TypeError(f"not a block: {value!r}")


def _below(value: Any, depth: int) -> str:
    if isinstance(value, (dict, list)) and value:
        return "\n" + _yaml(value, depth + 1)
    return f" {json.dumps(value, ensure_ascii=False)}\n"


def _key(key: str) -> str:
    return key if key.replace("-", "").isalnum() and not key.isdigit() else json.dumps(key)
