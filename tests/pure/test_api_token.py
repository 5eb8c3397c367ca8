"""Tokens of the api: their text, and what each may do."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailcore import api_token
from mailcore.api_token import SCOPES

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
RANDOM = st.binary(min_size=api_token.RANDOM_BYTES, max_size=api_token.RANDOM_BYTES)


@given(RANDOM)
def test_a_token_is_read_back_and_what_is_kept_of_it_is_a_hash(random: bytes) -> None:
    text = api_token.text_of(random)
    row = api_token.new(text, "grafana", ["metrics"], NOW, None)
    presented = api_token.read(text)

    assert presented is not None
    assert (row.key, row.digest) == (presented.key, presented.digest)
    assert row.digest == hashlib.sha256(text.encode()).hexdigest()
    assert text.startswith(api_token.shown(row.key) + "_")
    assert random[4:].hex() not in repr(row) + repr(presented) + row.digest


@given(st.text())
@example("mz_")
@example("mz_0011223\uff14_" + "0" * 48)
@example("mz_00112233_" + "0" * 48 + "\n")
@example("mz_00112233_" + "0" * 49)
@example("MZ_00112233_" + "0" * 48)
@example("\ud800")
def test_nothing_else_is_a_token(text: str) -> None:
    assert api_token.read(text) is None


@given(RANDOM, st.text(), st.text())
def test_its_secret_is_struck_out_of_any_text_and_its_beginning_stays(random: bytes, before: str, behind: str) -> None:
    text = api_token.text_of(random)
    shown = api_token.struck_out(f"{before}{text}{behind}", "[secret]")

    assert random[4:].hex() not in shown
    assert f"{text[:11]}_[secret]" in shown


@given(st.sets(st.sampled_from(SCOPES)), st.sets(st.sampled_from(SCOPES)))
def test_one_of_the_scopes_is_enough_and_none_is_never(has: set[str], needed: set[api_token.Scope]) -> None:
    assert api_token.permits(has, needed) == bool(has & needed)
    assert api_token.permits(None, needed), "whoever has no bounds"


def test_it_ends_when_it_was_to_end_or_is_revoked() -> None:
    later = NOW + timedelta(seconds=1)
    assert api_token.standing(None, None, NOW) == "valid"
    assert api_token.standing(later, None, NOW) == "valid"
    assert api_token.standing(NOW, None, NOW) == "expired"
    assert api_token.standing(NOW, NOW, NOW) == api_token.standing(later, NOW, NOW) == "revoked"


@pytest.mark.parametrize("name", ["", " a", "a ", "x" * 61, "a\u202eb", "a\nb", "\ud800", "mz_00112233", "API_TOKEN"])
def test_a_name_that_could_pretend_is_refused(name: str) -> None:
    assert api_token.fault_of_name(name).endswith(".")


@pytest.mark.parametrize("name", ["grafana", "Büro 2", "x" * 60, "خانه"])
def test_any_other_name_is_taken(name: str) -> None:
    assert api_token.fault_of_name(name) == ""


def test_scopes_are_chosen_and_known() -> None:
    assert api_token.fault_of_scopes(SCOPES) == ""
    assert "read, sync" in api_token.fault_of_scopes(())
    assert "'write'" in api_token.fault_of_scopes(("read", "write"))
    assert api_token.MEANING.keys() == set(SCOPES)


@given(RANDOM)
def test_a_whole_token_names_itself_as_its_beginning_does(random: bytes) -> None:
    text = api_token.text_of(random)
    assert api_token.key_or_name(text) == api_token.key_or_name(text[:11]) == text[:11]
    assert api_token.key_or_name("grafana") == "grafana"
