"""What a node tells beside its calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import cast, get_args

import pytest

from entrenous import Address, KeyChanged, MissedCall, Node, Notice, ServerBack, ServerLost
from entrenous.cli.notices import notice_sentence, watch
from entrenous.cli.output import Output

BOB = Address.parse("bob@calls.example.org")
NOTICES: list[Notice] = [KeyChanged(BOB, "mfrgg"), MissedCall(BOB), ServerLost("The server is gone."), ServerBack()]


class Announcing:
    """Has notices like a node."""

    async def notices(self) -> AsyncIterator[Notice]:
        for notice in NOTICES:
            yield notice


def test_every_notice_has_its_sentence() -> None:
    assert {type(notice) for notice in NOTICES} == set(get_args(Notice))
    assert "accept-new-key bob@calls.example.org" in notice_sentence(NOTICES[0])
    assert all(notice_sentence(notice).endswith((".", str(BOB))) for notice in NOTICES)


def test_a_call_that_could_not_ring_says_why() -> None:
    assert notice_sentence(MissedCall(BOB, "You have no relay.")) == f"Missed a call of {BOB}. You have no relay."


def test_a_call_while_nobody_was_there_says_when() -> None:
    then = time.mktime((2026, 11, 22, 4, 53, 15, 0, 0, -1))
    assert notice_sentence(MissedCall(BOB, called_at=then)) == (
        f"While you were away {BOB} called, on 2026-11-22 at 04:53."
    )
    assert "with picture" in notice_sentence(MissedCall(BOB, called_at=then, video=True))


async def test_a_script_gets_each_as_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    await watch(cast(Node, Announcing()), Output(as_json=True))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NOTICES)
    assert '"event": "key-changed"' in lines[0]
    assert '"address": "bob@calls.example.org"' in lines[0]
