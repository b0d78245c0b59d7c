"""The sound card of a call: both its ends share one processor."""

from __future__ import annotations

import pytest

from entrenous.media import sound_card
from entrenous.media.devices import MicrophoneStream, SpeakerStream
from entrenous.media.processing import Processing, SoundProcessor, Switch
from entrenous.media.sound_card import SoundCard


async def test_both_ends_get_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[object, object]] = []
    processor = object()

    async def note(device: object, *, processor: object, **_: object) -> None:
        opened.append((device, processor))

    monkeypatch.setattr(sound_card.SoundProcessor, "make", lambda _: processor)
    monkeypatch.setattr(MicrophoneStream, "open", note)
    monkeypatch.setattr(SpeakerStream, "open", note)
    card = SoundCard(microphone="desk", speaker=3)
    assert opened == [], "nothing is opened before the start"
    await card.sink.start()
    await card.source.start()
    assert opened == [(3, processor), ("desk", processor)]


def test_nothing_to_do_is_no_processor() -> None:
    assert SoundCard(processing=Processing(echo=Switch.OFF, noise=Switch.OFF)).processor is None


def test_every_card_has_a_processor_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoundProcessor, "make", lambda _: object())
    assert SoundCard().processor is not SoundCard().processor
