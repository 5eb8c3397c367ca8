"""Prometheus metrics of all processes in one place: each answers NATS requests with its own, the api asks them all.

Processes declare their metrics with prometheus_client as usual, on its default registry; nothing of a message is a
label.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from mailcore import waits
from mailcore.bus import Bus
from mailcore.bus.layout.streams import MAIL_DEAD, MAIL_EVENTS, MESSAGE_STREAMS

if TYPE_CHECKING:  # who has no database does without its libraries
    from mailcore.store.row import VerifyReport

SUBJECT: Final = "mozzart.metrics"
_WAITS: Final = b"waits"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def answer(bus: Bus, process: str, registry: CollectorRegistry = REGISTRY) -> None:
    """From now on this process answers for its own metrics; `process` becomes a label ("syncer")."""

    instance = f"{socket.gethostname()}:{os.getpid()}"

    async def respond(question: bytes) -> bytes:
        if question == _WAITS:
            return json.dumps({"process": process, "process_instance": instance, **waits.facts()}).encode()
        return encode(process, instance, registry)

    await bus.respond(SUBJECT, respond)


async def collect(bus: Bus, within: float = 0.3) -> list[bytes]:
    """The answers of all processes that answered `within` seconds, as `merge` takes them. Raises BusError."""
    return await bus.gather(SUBJECT, b"", within)


async def waiting(bus: Bus, within: float = 0.3) -> waits.Told:
    """What keeps mail from being stored, and what waits for a person. Raises BusError."""
    return waits.told(await bus.gather(SUBJECT, _WAITS, within))


async def streams(bus: Bus) -> bytes:
    """What NATS holds and what waits there, as an answer of a process `nats`. Raises BusError."""
    families = stream_families()
    for stream in (*MESSAGE_STREAMS, MAIL_EVENTS, MAIL_DEAD):
        held = await bus.position(stream)
        for name, value in (("messages", held.messages), ("bytes", held.size), ("max_bytes", held.max_size)):
            families[f"mozzart_stream_{name}"].add_metric((stream,), value)
    for durable, count in (await bus.waiting()).items():
        families["mozzart_durable_waiting"].add_metric((durable,), count)
    registry = CollectorRegistry()
    registry.register(_Collected(list(families.values())))
    return encode("nats", bus.server, registry)


def stream_families() -> dict[str, GaugeMetricFamily]:
    """Those of `streams`, without samples."""
    return {
        name: GaugeMetricFamily(name, text, labels=(label,))
        for name, text, label in (
            ("mozzart_stream_messages", "Messages that a stream holds", "stream"),
            ("mozzart_stream_bytes", "Bytes that a stream holds", "stream"),
            ("mozzart_stream_max_bytes", "Bytes that a stream may hold", "stream"),
            ("mozzart_durable_waiting", "Messages that a durable has not settled", "durable"),
        )
    }


def verification(reports: Iterable[VerifyReport], interval: float) -> bytes:
    """What the last verifications found, as an answer of a process `verify`; `reports` come the newest first,
    `interval` is VERIFY_INTERVAL in seconds."""
    findings, seconds, took, every = verify_families()
    whole = [one for one in reports if one.whole and one.status != "incomplete"]  # else nobody knows better
    totals: dict[str, int] = {}
    for one in whole:  # a category that the newest did not look for is known from an older one
        totals = {**one.totals, **totals}
    for category, count in sorted(totals.items()):
        findings.add_metric((category,), count)
    last = next((one for one in whole if one.ended_at is not None), None)
    ended = last.ended_at if last is not None else None
    seconds.add_metric((), ended.timestamp() if ended is not None else 0)
    if last is not None and ended is not None:
        took.add_metric((), (ended - last.started_at).total_seconds())
    every.add_metric((), interval)
    registry = CollectorRegistry()
    registry.register(_Collected([findings, seconds, took, every]))
    return encode("verify", "database", registry)


def verify_families() -> tuple[GaugeMetricFamily, ...]:
    """Those of `verification`, without samples."""
    return (
        GaugeMetricFamily(
            "mozzart_verify_findings", "What differed in the last verification of all accounts", labels=("category",)
        ),
        GaugeMetricFamily(
            "mozzart_verify_timestamp_seconds", "When the last verification ended that compared everything", labels=()
        ),
        GaugeMetricFamily("mozzart_verify_duration_seconds", "How long that one took", labels=()),
        GaugeMetricFamily("mozzart_verify_interval_seconds", "VERIFY_INTERVAL; 0: none", labels=()),
    )


def encode(process: str, instance: str, registry: CollectorRegistry = REGISTRY) -> bytes:
    """One process's answer: a line of JSON that says whose, then Prometheus' text format."""
    return json.dumps({"process": process, "process_instance": instance}).encode() + b"\n" + generate_latest(registry)


def merge(answers: Iterable[bytes]) -> bytes:
    """One exposition of many answers; each sample carries the labels `process` and `process_instance`. An answer that
    is none of ours is left out. Pure."""
    families: dict[str, Metric] = {}
    for one in sorted(answers):
        for family in _labelled(one):
            known = families.setdefault(family.name, family)
            if known is not family and known.type == family.type:
                known.samples.extend(family.samples)
    registry = CollectorRegistry()
    registry.register(_Collected(list(families.values())))
    return generate_latest(registry)


def process_of(answer: bytes) -> str:
    """Whose answer it is; "" when it is none of ours. Pure."""
    try:
        return str(json.loads(answer.partition(b"\n")[0])["process"])
    except (ValueError, TypeError, LookupError):
        return ""


def _labelled(answer: bytes) -> list[Metric]:
    head, _, text = answer.partition(b"\n")
    try:
        labels = {str(name): str(value) for name, value in json.loads(head).items()}
        families = list(text_string_to_metric_families(text.decode()))
    except (ValueError, AttributeError):
        return []
    for family in families:
        family.samples = [sample._replace(labels={**sample.labels, **labels}) for sample in family.samples]
    return families


class _Collected(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)
