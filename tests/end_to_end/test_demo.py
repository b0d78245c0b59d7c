"""`entrenous demo` as a person runs it: what both ends recorded is compared with what was sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pytest

from entrenous import asset_path
from lab.likeness import cards, speech_likeness
from lab.recordings import psnr, read_recording, read_sound

SECONDS = 6
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
        while process.poll() is None:
            seen |= set(process.children(recursive=True))
            try:
                printed, _ = process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
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


def test_what_is_sent_arrives(demo: Demo) -> None:
    audio, video = demo.result["audio"], demo.result["video"]
    assert audio["sent"] >= 2 * 50 * (SECONDS - 1)
    assert audio["played"] >= 0.97 * audio["sent"]
    assert audio["concealed"] <= 0.01 * audio["sent"]
    assert video["sent"] >= 2 * 15 * (SECONDS - 1)
    assert video["decoded"] >= 0.97 * video["sent"]
    assert demo.result["frames_rejected"] == 0
    for end in demo.result["ends"].values():
        # What is sent before the other end is ready waits for it: nobody has to ask for the first picture again.
        assert end["stats"]["video"]["key_frames_requested"] == 0


def test_the_server_keeps_a_start_and_a_duration(demo: Demo) -> None:
    (record,) = demo.result["server_kept"]
    assert sorted(record) == ["duration", "start"]
    # It counts from whole second to whole second, and may hear of the accept a little later than the caller.
    caller = demo.result["ends"]["alice"]["outcome"]
    assert caller["seconds"] - 2 < record["duration"] < demo.seconds + 1


@pytest.mark.parametrize("name", SPEECH_HEARD_BY)
def test_the_speech_is_heard_as_it_was_sent(demo: Demo, name: str) -> None:
    sent = np.tile(read_sound(asset_path(SPEECH_HEARD_BY[name])), 2)
    heard = read_sound(demo.folder / f"{name}-heard.ogg")
    assert len(heard) >= 48_000 * (SECONDS - 1)
    likeness = speech_likeness(sent, heard)
    print(f"STOI of what {name} heard: {likeness:.3f}")
    assert likeness >= 0.95


@pytest.mark.parametrize("name", SPEECH_HEARD_BY)
async def test_the_picture_is_seen_as_it_was_sent(demo: Demo, name: str) -> None:
    film = read_recording(demo.folder / f"{name}-saw.mkv")
    numbers = film.frame_numbers
    assert None not in numbers
    if numbers[0] == numbers[1]:  # a recording shows its first picture from its beginning on
        del numbers[0], film.pictures[0]
    assert all(before < after for before, after in pairwise(numbers))
    assert len(numbers) >= 0.95 * (numbers[-1] - numbers[0] + 1)
    sent = await cards(numbers)
    ratios = [psnr(sent[number], frame) for number, (_, frame) in zip(numbers, film.pictures, strict=True)]
    print(f"PSNR of what {name} saw, dB: at least {min(ratios):.1f}, median {median(ratios):.1f}")
    assert min(ratios) >= 30


def test_no_process_and_no_file_is_left(demo: Demo) -> None:
    assert len(demo.processes) >= 3
    assert [process for process in demo.processes if process.is_running()] == []
    assert list(demo.temporary.iterdir()) == []
    assert sorted(path.name for path in demo.folder.iterdir()) == [
        *("alice-heard.ogg", "alice-saw.mkv", "bob-heard.ogg", "bob-saw.mkv")
    ]
