"""What several tests of media share."""

from __future__ import annotations

import pytest

from entrenous.media import incoming_streams, video_sender
from entrenous.media.sources import files
from world.virtual_time import InlineFeeder, InlineThread


@pytest.fixture
def without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What threads do is done at once, so that no time passes meanwhile: for tests in virtual time."""
    monkeypatch.setattr(files, "Feeder", InlineFeeder)
    for module in (video_sender, incoming_streams):
        monkeypatch.setattr(module, "CodecThread", InlineThread)
