"""The order in which a batch is carried out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.requests import (
    BatchRequest,
    CloseRecord,
    DeleteMessages,
    MarkActive,
    OpenRecord,
    RemoveAccount,
    StoreMessage,
    TouchRecords,
)
from entrenous_signaling.store.stages import stages


def store(username: str, number: int = 0) -> StoreMessage:
    return StoreMessage(username, "d1", bytes([number]), b"tag", b"", 0, MessageBounds())


def delete(username: str) -> DeleteMessages:
    return DeleteMessages(username, "d1", (b"id",))


def test_requests_of_many_become_one_stage_a_kind() -> None:
    batch = [store("a"), delete("b"), store("c"), MarkActive("d", 1), delete("e"), store("a", 1)]
    assert stages(batch) == [[0, 2, 5], [1, 4], [3]]


def test_what_concerns_one_account_keeps_its_order() -> None:
    batch = [store("a"), delete("a"), store("a"), RemoveAccount("a"), delete("b"), store("b")]
    assert stages(batch) == [[0], [1, 4], [2, 5], [3]]


def test_a_touch_stays_behind_the_opening_of_each_of_its_records() -> None:
    batch = [OpenRecord(b"a", 1), TouchRecords(((b"a", 2), (b"b", 2))), OpenRecord(b"b", 3), CloseRecord(b"a", 2)]
    assert stages(batch) == [[0], [1], [2], [3]]


REQUESTS = st.one_of(
    st.builds(store, st.sampled_from("abc")),
    st.builds(delete, st.sampled_from("abc")),
    st.builds(RemoveAccount, st.sampled_from("abc")),
    st.builds(MarkActive, st.sampled_from("abc"), st.integers(0, 9)),
)


@given(st.lists(REQUESTS, max_size=40))
def test_every_request_is_in_one_stage_of_its_kind_and_in_order_with_its_account(batch: list[BatchRequest]) -> None:
    order = stages(batch)
    assert sorted(position for stage in order for position in stage) == list(range(len(batch)))
    for stage in order:
        assert len({type(batch[position]) for position in stage}) == 1
    flat = [position for stage in order for position in stage]
    for name in "abc":
        mine = [position for position in flat if getattr(batch[position], "username", None) == name]
        assert mine == sorted(mine)
