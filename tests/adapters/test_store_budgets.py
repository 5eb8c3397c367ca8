"""What accounts have fetched of their budgets, as both databases keep it."""

from __future__ import annotations

import pytest

from mailcore.store import KeptBudget, Store


@pytest.mark.asyncio
async def test_what_an_account_fetched_is_kept_in_place_of_what_was_there(store: Store) -> None:
    assert await store.load_budget("anna") is None
    await store.save_budget(KeptBudget("anna", ((494_000, 7), (494_001, 1 << 40)), 3, 900))
    await store.save_budget(KeptBudget("bert", (), 0, 0))
    kept = KeptBudget("anna", ((494_001, 5),), 4, 1000)
    await store.save_budget(kept)
    assert await store.load_budget("anna") == kept
    assert await store.load_budget("bert") == KeptBudget("bert", (), 0, 0)
