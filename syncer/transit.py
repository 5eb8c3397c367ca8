"""What JetStream holds of mailboxes that are not open: at the start, and of those that are synced no longer."""

from __future__ import annotations

from collections import defaultdict

from mailcore.events.identity import Identity, MailboxKey

Place = tuple[int, int]  # UIDVALIDITY and UID
Flown = tuple[str, int, int]  # stream, sequence in it, bytes


class Transit:
    """One for a process. A mailbox that opens takes what is its own."""

    def __init__(self) -> None:
        # By the row of the mailbox, which a rename leaves as it is; by its name where an event does not tell the row.
        self._in_flight: defaultdict[int | MailboxKey, dict[Place, Flown]] = defaultdict(dict)
        self._dead: defaultdict[int | MailboxKey, set[Place]] = defaultdict(set)

    def published(self, identity: Identity, mailbox_id: int, stream: str, seq: int, size: int) -> None:
        self._in_flight[mailbox_id or identity.key][identity.uidvalidity, identity.uid] = (stream, seq, size)

    def died(self, identity: Identity, mailbox_id: int) -> None:
        self._dead[mailbox_id or identity.key].add((identity.uidvalidity, identity.uid))

    def take(self, key: MailboxKey, mailbox_id: int) -> tuple[dict[Place, Flown], set[Place]]:
        """What is in flight and dead of that mailbox, which keeps it from now on."""
        in_flight = self._in_flight.pop(key, {}) | self._in_flight.pop(mailbox_id, {})
        return in_flight, self._dead.pop(key, set()) | self._dead.pop(mailbox_id, set())

    def __len__(self) -> int:
        return sum(len(places) for places in self._in_flight.values())
