"""Metrics of several processes as one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from mailcore import metrics


def registry(count: float) -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("mozzart_stored", "Messages stored", ["account"], registry=made).labels('a"\n\\').inc(count)
    Histogram("mozzart_seconds", "Time", registry=made).observe(count)
    return made


def test_every_process_keeps_its_own_samples_under_one_heading() -> None:
    answers = [metrics.encode("consumer", "h:1", registry(1)), metrics.encode("consumer", "h:2", registry(2))]
    text = metrics.merge(answers).decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    stored = {
        s.labels["process_instance"]: s.value for s in families["mozzart_stored"].samples if s.name.endswith("_total")
    }
    assert stored == {"h:1": 1, "h:2": 2}
    assert {s.labels["account"] for s in families["mozzart_stored"].samples} == {'a"\n\\'}
    assert text.count("# TYPE mozzart_stored_total counter") == 1
    assert families["mozzart_seconds"].type == "histogram"


def test_merging_is_the_same_in_any_order() -> None:
    answers = [
        metrics.encode(name, "h:1", registry(number)) for number, name in enumerate(("api", "consumer", "syncer"))
    ]

    assert metrics.merge(answers) == metrics.merge(answers[::-1])


@given(st.lists(st.binary()))
def test_an_answer_that_is_none_of_ours_is_left_out(noise: list[bytes]) -> None:
    ours = metrics.encode("api", "h:1", registry(1))

    assert metrics.merge([*noise, ours]) == metrics.merge([ours])
    assert metrics.process_of(ours) == "api"
    assert {metrics.process_of(one) for one in noise} <= {""}
