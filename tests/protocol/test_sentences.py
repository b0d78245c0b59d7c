"""A sentence for every end, fit for people."""

from __future__ import annotations

import pytest

from entrenous.protocol.sentences import sentence
from entrenous.protocol.states import EndReason, Stage


@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize("stage", Stage)
def test_every_end_has_a_whole_sentence(reason: EndReason, stage: Stage) -> None:
    text = sentence(reason, stage, "Bob")
    assert text[0].isupper()
    assert text.endswith(".")
    assert "  " not in text
    assert "\n" not in text


def test_reasons_and_failed_stages_are_told_apart() -> None:
    reasons = {sentence(reason, Stage.RING, "Bob") for reason in EndReason}
    stages = {sentence(EndReason.FAILED, stage, "Bob") for stage in Stage}
    assert len(reasons) == len(EndReason)
    assert len(stages) == len(Stage)


def test_the_other_person_is_named() -> None:
    assert sentence(EndReason.DECLINED, Stage.RING, "Bob") == "Bob declined the call."
    assert "Bob" in sentence(EndReason.OFFLINE, Stage.RING, "Bob")
