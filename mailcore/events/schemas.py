"""The JSON Schemas of docs/schemas/, made from the classes that make the events.

`python -m mailcore.events.schemas` writes them and docs/asyncapi.yaml; a test holds code and files together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from mailcore.events import asyncapi, control, dead_letter
from mailcore.events.message import (
    BODY_BUCKET,
    DEFECTS,
    EMAIL_ID,
    LABELS,
    MAILBOX_ID,
    ORIGIN,
    SPEC_VERSION,
    THREAD_ID,
    FoundBy,
    Kind,
    ce_type,
)
from mailcore.events.thin import TYPES

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_IDENTITY: Final = "[^/]*/[^/]*/[1-9][0-9]*/[1-9][0-9]*"
_TIME: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
    "description": "RFC 3339, UTC, microseconds",
}
_DECIMAL: Final = {"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}

CONTROL: Final[dict[str, type[BaseModel]]] = {
    "sync-start": control.SyncStart,
    "sync-result": control.SyncResult,
    "sync-run": control.SyncRun,
    "mailbox-states": control.MailboxStates,
    "part-request": control.PartRequest,
    "message-part": control.MessagePart,
    "account-states": control.AccountStates,
    "trial-request": control.TrialRequest,
    "trial": control.Trial,
    "refusal": control.Refusal,
}


def schemas() -> dict[str, dict[str, Any]]:
    """File name without `.v1.json` → schema. Of events: what is published, so every field is there."""
    made = {name: _of_model(cls, "serialization") for name, cls in TYPES.items()}
    made |= {name: _of_model(cls, "validation") for name, cls in CONTROL.items()}
    made["message-headers"] = _message_headers()
    made["thin-headers"] = _thin_headers()
    made["dead-letter-headers"] = _dead_letter_headers()
    return {
        name: {"$schema": _DIALECT, "$id": f"urn:mozzart:schema:{name}:v1", **schema} for name, schema in made.items()
    }


def _of_model(cls: type[BaseModel], mode: Any) -> dict[str, Any]:
    return cls.model_json_schema(mode=mode)


def _headers(title: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": {"type": "string"},
    }


_REDRIVEN: Final = {**_DECIMAL, "description": "the dead letter that this was before it was tried again"}
_NOTICED: Final = {
    "type": "string",
    "pattern": "^[a-z0-9-]+(,[a-z0-9-]+)*$",
    "description": "what was wrong with what the server said of the message, with commas between; absent when nothing",
}
_ORIGIN: Final = {
    "type": "string",
    "pattern": f"^{_IDENTITY}$",
    "description": "only of a copy: the identity that had the same bytes first",
}

_OBJECT_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$"}
_SERVER_IDS: Final = {
    EMAIL_ID: {**_OBJECT_ID, "description": "what the server calls these bytes in all mailboxes, where it tells"},
    THREAD_ID: {**_OBJECT_ID, "description": "what the server calls their thread, where it tells"},
    LABELS: {"type": "string", "description": "labels at Gmail, percent-encoded, with spaces between, where it tells"},
}

_MAILBOX_ID: Final = {**_DECIMAL, "description": "the row of the mailbox, which stays when the mailbox is renamed"}


def _message_facts() -> dict[str, Any]:
    return {
        "ce-specversion": {"const": SPEC_VERSION},
        "ce-id": {"type": "string", "pattern": f"^{_IDENTITY}$", "description": "the identity, percent-encoded"},
        "ce-type": {"enum": [ce_type(kind) for kind in Kind]},
        "ce-source": {"type": "string", "pattern": "^/accounts/[^/]*/mailboxes/[^/]*$"},
        "ce-subject": {"type": "string", "pattern": "^[1-9][0-9]*/[1-9][0-9]*$", "description": "UIDVALIDITY/UID"},
        "ce-time": {**_TIME, "description": "when the event was made"},
        "content-type": {"const": "message/rfc822"},
        "ce-foundby": {"enum": list(FoundBy), "description": "what made the syncer ask the server"},
        "ce-size": {**_DECIMAL, "description": "bytes of the whole message"},
        "ce-sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "of the whole message"},
        "ce-receivedat": {**_TIME, "description": "INTERNALDATE"},
        "ce-pushedat": {**_TIME, "description": "when the server's hint came, or the sweep that found it began"},
        "ce-flags": {"type": "string", "description": "IMAP flags, percent-encoded, with spaces between"},
    }


def _message_headers() -> dict[str, Any]:
    return _headers(
        "MessageHeaders",
        {"Nats-Msg-Id": {"type": "string", "pattern": f"^{_IDENTITY}(/redrive/[1-9][0-9]*)?$"}, **_message_facts()},
        {
            "ce-dataref": _dataref(BODY_BUCKET),
            DEFECTS: _NOTICED,
            MAILBOX_ID: _MAILBOX_ID,
            ORIGIN: _ORIGIN,
            **_SERVER_IDS,
            dead_letter.REDRIVEN: _REDRIVEN,
        },
    )


def _thin_headers() -> dict[str, Any]:
    identifier = {"type": "string", "pattern": f"/({'|'.join(TYPES)})$"}
    return _headers(
        "ThinHeaders",
        {
            "Nats-Msg-Id": identifier,
            "ce-specversion": {"const": SPEC_VERSION},
            "ce-id": identifier,
            "ce-type": {"enum": [ce_type(kind) for kind in TYPES]},
            "ce-source": {"type": "string", "pattern": "^/accounts/[^/]*/mailboxes/[^/]*$"},
            "ce-time": _TIME,
            "content-type": {"const": "application/json"},
        },
        {MAILBOX_ID: _MAILBOX_ID},
    )


def _dead_letter_headers() -> dict[str, Any]:
    """Those of the event that died, whatever they were, and ours."""
    return _headers(
        "DeadLetterHeaders",
        {
            "Nats-Msg-Id": {"type": "string", "pattern": f"^{_IDENTITY}/dead(/[1-9][0-9]*)?$"},
            "ce-id": {"type": "string", "pattern": f"^{_IDENTITY}(/rebind)?$"},
            dead_letter.ERROR: {"type": "string", "description": "what went wrong, `%` percent-encoded"},
            dead_letter.DELIVERIES: {**_DECIMAL, "description": "how often it was tried"},
        },
        {"ce-dataref": _dataref(dead_letter.DEAD_BUCKET), dead_letter.REDRIVEN: _REDRIVEN},
    )


def _dataref(bucket: str) -> dict[str, Any]:
    return {
        "type": "string",
        "pattern": f"^nats-object://{bucket}/.+$",
        "description": "claim check: the payload is empty, the bytes are this object's (its name percent-encoded)",
    }


def files() -> dict[str, str]:
    """Path below docs/ → text."""
    out = {f"schemas/{name}.v1.json": json.dumps(schema, indent=2) + "\n" for name, schema in schemas().items()}
    out["asyncapi.yaml"] = asyncapi.text()
    return out


def main(docs: Path) -> None:
    for name, text in files().items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs"))
