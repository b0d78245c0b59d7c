"""A sentence for every end, fit for people."""

from __future__ import annotations

import pytest

from entrenous.protocol.causes import Cause, Side, side_of
from entrenous.protocol.sentences import sentence
from entrenous.protocol.states import EndReason, Stage


def is_whole(text: str) -> bool:
    return text[0].isupper() and text.endswith(".") and "  " not in text and "\n" not in text


def failed(stage: Stage, cause: Cause, *, ours: bool = True, relays: bool = True) -> str:
    return sentence(EndReason.FAILED, stage, "Bob", cause, side_of(cause, ours=ours), relays=relays)


@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize("stage", Stage)
def test_every_end_has_a_whole_sentence(reason: EndReason, stage: Stage) -> None:
    assert is_whole(sentence(reason, stage, "Bob"))


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("side", [*Side, None])
@pytest.mark.parametrize("relays", [True, False])
def test_every_failure_has_a_whole_sentence(stage: Stage, cause: Cause, side: Side | None, relays: bool) -> None:
    assert is_whole(sentence(EndReason.FAILED, stage, "Bob", cause, side, relays=relays))


def test_reasons_and_failed_stages_are_told_apart() -> None:
    reasons = {sentence(reason, Stage.RING, "Bob") for reason in EndReason}
    stages = {sentence(EndReason.FAILED, stage, "Bob") for stage in Stage}
    assert len(reasons) == len(EndReason)
    assert len(stages) == len(Stage)


def test_causes_are_told_apart_and_so_is_whose_side_they_are_on() -> None:
    assert len({failed(Stage.PATH, cause) for cause in Cause}) == len(Cause)
    one_sided = [cause for cause in Cause if side_of(cause, ours=True) is Side.HERE]
    for cause in one_sided:
        here, there = failed(Stage.PATH, cause), failed(Stage.PATH, cause, ours=False)
        assert here != there
        assert "Bob" in there
        assert "Bob" not in here
    assert len({failed(stage, Cause.TIMEOUT) for stage in Stage}) == len(Stage)


def test_what_to_do_follows_what_happened() -> None:
    assert "operator" in failed(Stage.PATH, Cause.NO_RELAY)
    assert "operator" in failed(Stage.PATH, Cause.RELAY_REFUSED)
    assert "blocks UDP" in failed(Stage.PATH, Cause.NO_ANSWER)
    assert "offers no relay" in failed(Stage.PATH, Cause.NO_ANSWER, relays=False)
    assert "offers no relay" not in failed(Stage.PATH, Cause.NO_ANSWER)


def test_the_other_person_is_named() -> None:
    assert sentence(EndReason.DECLINED, Stage.RING, "Bob") == "Bob declined the call."
    assert "Bob" in sentence(EndReason.OFFLINE, Stage.RING, "Bob")
