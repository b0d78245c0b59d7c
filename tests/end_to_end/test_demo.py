"""`entrenous demo` as a person runs it: what both ends recorded is compared with what was sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pytest

from entrenous import asset_path
from entrenous.media.video_receiver import REQUEST_INTERVAL
from lab.likeness import cards, speech_likeness
from lab.recordings import psnr, read_recording, read_sound

SECONDS = 6
BLOCKS, PICTURES = 50, 15
"""A second, of sound and of the test card."""

SPEECH_HEARD_BY = {"alice": "speech-b.opus", "bob": "speech-a.opus"}


@dataclass(frozen=True)
class Demo:
    """A demo that has ended: what it printed, its files, its processes and temporary files, and how long it took."""

    folder: Path
    temporary: Path
    printed: str
    code: int
    processes: set[psutil.Process]
    seconds: float

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.printed)
        return result


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder, temporary = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("temporary")
    command = ["-m", "entrenous.cli", "demo", "--json", "--for", str(SECONDS), "--out", str(folder)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    seen: set[psutil.Process] = set()
    begun = time.monotonic()
    with psutil.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment) as process:
        printed = None
        while printed is None:
            seen |= set(process.children(recursive=True))
            with suppress(subprocess.TimeoutExpired):
                printed, _ = process.communicate(timeout=0.1)
    return Demo(folder, temporary, printed, process.returncode, seen, time.monotonic() - begun)


def test_it_connects_and_both_ends_show_the_same_words(demo: Demo) -> None:
    assert demo.code == 0
    result = demo.result
    assert result["connected"]
    assert result["words_match"]
    assert len(result["words"]) == 3
    assert result["path"] == "direct"
    assert result["dial_to_ringing_ms"] > 0
    assert result["accept_to_audio_ms"] > 0
    assert {end["outcome"]["reason"] for end in result["ends"].values()} == {"local", "remote"}


@dataclass(frozen=True)
class Way:
    """What went from one end to the other, as both counted it.

    Both run in real time. On a machine that is too busy for that sound is left out, comes late and is made up; the ends
    count for how long each was held up, and only for so long anything may be missing. With time enough that is nothing.
    """

    name: str
    """Of who hears."""

    talker: dict[str, Any]
    hearer: dict[str, Any]

    @property
    def sent(self) -> dict[str, Any]:
        """Counted by who sends."""
        sent: dict[str, Any] = self.talker["stats"]
        return sent

    @property
    def heard(self) -> dict[str, Any]:
        """Counted by who hears and sees."""
        heard: dict[str, Any] = self.hearer["stats"]
        return heard

    @property
    def on_the_way(self) -> float:
        """Seconds for which the one who hears had ended the call, and the other did not know it."""
        return max(0.0, self.talker["outcome"]["seconds"] - self.hearer["outcome"]["seconds"])

    @property
    def held_up(self) -> float:
        """Seconds for which one of both had no time, at most."""
        return (self.sent["audio"]["held_up_ms"] + self.heard["audio"]["held_up_ms"]) / 1000


@pytest.fixture(params=[("alice", "bob"), ("bob", "alice")], ids=" to ".join)
def way(demo: Demo, request: pytest.FixtureRequest) -> Way:
    talker, hearer = request.param
    ends = demo.result["ends"]
    return Way(hearer, ends[talker], ends[hearer])


def test_all_sound_is_sent_and_arrives(way: Way) -> None:
    sent, heard = way.sent["audio"], way.heard["audio"]
    assert sent["sent"] >= BLOCKS * (SECONDS - 1 - way.held_up)
    assert heard["received"] >= 0.97 * sent["sent"] - BLOCKS * way.on_the_way


def test_all_sound_that_arrives_is_played_in_time(way: Way) -> None:
    heard = way.heard["audio"]
    in_vain = heard["late"] + heard["discarded"]
    assert heard["played"] + in_vain + heard["waiting"] >= heard["received"] - 1
    assert in_vain <= BLOCKS * way.held_up
    assert heard["concealed"] <= 0.01 * heard["received"] + BLOCKS * way.held_up


def test_all_pictures_are_sent_and_seen(way: Way) -> None:
    sent, heard = way.sent["video"], way.heard["video"]
    excused = PICTURES * (way.held_up + way.on_the_way)
    assert sent["sent"] >= PICTURES * (SECONDS - 1) - excused
    assert heard["decoded"] >= 0.97 * sent["sent"] - excused
    # What is sent before the other end is ready waits for it: nobody has to ask for the first picture again.
    assert heard["key_frames_requested"] <= way.held_up / REQUEST_INTERVAL


def test_nothing_is_rejected(demo: Demo) -> None:
    assert demo.result["frames_rejected"] == 0


def test_the_sums_of_both_ends_are_told(demo: Demo) -> None:
    ends = [end["stats"] for end in demo.result["ends"].values()]
    for stream, figures in (("audio", ("sent", "played", "concealed")), ("video", ("sent", "decoded"))):
        assert demo.result[stream] == {figure: sum(end[stream][figure] for end in ends) for figure in figures}


def test_the_server_keeps_a_start_and_a_duration(demo: Demo) -> None:
    (record,) = demo.result["server_kept"]
    assert sorted(record) == ["duration", "start"]
    # It counts from whole second to whole second, and may hear of the accept a little later than the caller.
    caller = demo.result["ends"]["alice"]["outcome"]
    assert caller["seconds"] - 2 < record["duration"] < demo.seconds + 1


def test_the_speech_is_heard_as_it_was_sent(demo: Demo, way: Way) -> None:
    sent = np.tile(read_sound(asset_path(SPEECH_HEARD_BY[way.name])), 2)
    heard = read_sound(demo.folder / f"{way.name}-heard.ogg")
    assert len(heard) >= 48_000 * (SECONDS - 1 - way.held_up)
    likeness = speech_likeness(sent, heard)
    print(f"STOI of what {way.name} heard: {likeness:.3f}")
    # What is left out or made up, for want of time, is unlike anything that was said, and takes from what is around it.
    unlike = way.sent["audio"]["left_out"] + way.heard["audio"]["concealed"] + way.heard["audio"]["discarded"]
    assert likeness >= 0.95 - 4 * unlike / way.heard["audio"]["received"]


async def test_the_picture_is_seen_as_it_was_sent(demo: Demo, way: Way) -> None:
    film = read_recording(demo.folder / f"{way.name}-saw.mkv")
    numbers = film.frame_numbers
    assert None not in numbers
    if numbers[0] == numbers[1]:  # a recording shows its first picture from its beginning on
        del numbers[0], film.pictures[0]
    assert all(before < after for before, after in pairwise(numbers))
    assert len(numbers) >= 0.95 * (numbers[-1] - numbers[0] + 1) - PICTURES * way.held_up
    sent = await cards(numbers)
    ratios = [psnr(sent[number], frame) for number, (_, frame) in zip(numbers, film.pictures, strict=True)]
    print(f"PSNR of what {way.name} saw, dB: at least {min(ratios):.1f}, median {median(ratios):.1f}")
    assert min(ratios) >= 30


def test_no_process_and_no_file_is_left(demo: Demo) -> None:
    assert len(demo.processes) >= 3
    assert [process for process in demo.processes if process.is_running()] == []
    assert list(demo.temporary.iterdir()) == []
    assert sorted(path.name for path in demo.folder.iterdir()) == [
        *("alice-heard.ogg", "alice-saw.mkv", "bob-heard.ogg", "bob-saw.mkv")
    ]
