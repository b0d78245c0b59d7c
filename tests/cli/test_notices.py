"""What a node tells beside its calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import cast, get_args

import pytest

from entrenous import (
    Address,
    KeyChanged,
    MissedCall,
    Node,
    Notice,
    OwnDeviceAdded,
    OwnDeviceGone,
    OwnDeviceLoggedIn,
    ServerBack,
    ServerLost,
)
from entrenous.cli.notices import notice_sentence, watch
from entrenous.cli.output import Output

BOB = Address.parse("bob@calls.example.org")
PHONE = "d7f3000000000001"
NOTICES: list[Notice] = [
    KeyChanged(BOB, "mfrgg"),
    MissedCall(BOB),
    OwnDeviceAdded(PHONE, 1.0),
    OwnDeviceGone(PHONE, 1.0),
    OwnDeviceLoggedIn(PHONE, 60.0),
    ServerLost("The server is gone."),
    ServerBack(),
]


class Announcing:
    """Has notices like a node."""

    async def notices(self) -> AsyncIterator[Notice]:
        for notice in NOTICES:
            yield notice


def test_every_notice_has_its_sentence() -> None:
    assert {type(notice) for notice in NOTICES} == set(get_args(Notice))
    assert "accept-new-key bob@calls.example.org" in notice_sentence(NOTICES[0])
    assert all(notice_sentence(notice).endswith((".", str(BOB), "account devices --help")) for notice in NOTICES)


def test_a_call_that_could_not_ring_says_why() -> None:
    assert notice_sentence(MissedCall(BOB, "You have no relay.")) == f"Missed a call of {BOB}. You have no relay."


def test_a_call_while_nobody_was_there_says_when() -> None:
    then = time.mktime((2026, 11, 22, 4, 53, 15, 0, 0, -1))
    assert notice_sentence(MissedCall(BOB, called_at=then)) == (
        f"While you were away {BOB} called, on 2026-11-22 at 04:53."
    )
    assert "with picture" in notice_sentence(MissedCall(BOB, called_at=then, video=True))


def test_a_device_that_came_is_told_with_what_to_do() -> None:
    then = time.mktime((2026, 11, 22, 4, 53, 15, 0, 0, -1))
    assert notice_sentence(OwnDeviceAdded(PHONE, then)) == (
        f"A device that you have not seen before, {PHONE}, was added to your account, as seen on 2026-11-22 at 04:53. "
        "If it was not you, somebody has your keys; what to do: entrenous account devices --help"
    )
    assert "not seen before" not in notice_sentence(OwnDeviceAdded(PHONE, then, again=True))
    assert "on 2026-11-22 at 04:53" in notice_sentence(OwnDeviceLoggedIn(PHONE, then))


async def test_a_script_gets_each_as_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    await watch(cast(Node, Announcing()), Output(as_json=True))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NOTICES)
    assert '"event": "key-changed"' in lines[0]
    assert '"address": "bob@calls.example.org"' in lines[0]
    assert '"event": "own-device-added"' in lines[2]
    assert f'"device": "{PHONE}"' in lines[2]
