"""What the three processes of the demo said becomes one result; and how it ends before its time.

The whole demo is run and listened to in tests/end_to_end/test_demo.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from entrenous.cli.children import ChildError
from entrenous.cli.demo_run import DemoResult, play
from entrenous.cli.exits import ExitCode

MadeUp = Callable[..., DemoResult]


def test_stages_count_the_later_end(made_up: MadeUp) -> None:
    assert made_up().stages() == {
        "dial_to_keys_ms": 10.0,
        "dial_to_ringing_ms": 100.0,
        "accept_to_active_ms": 50.0,
        "accept_to_audio_ms": 150.0,
        "accept_to_video_ms": 200.0,
    }


def test_a_good_result(made_up: MadeUp) -> None:
    result = made_up()
    assert result.connected
    assert result.words_match
    summed = result.to_dict()
    assert summed["audio"] == {"sent": 200, "played": 196, "concealed": 2}
    assert summed["video"] == {"sent": 60, "decoded": 58}
    assert summed["server_kept"] == [{"start": "2026-01-01T00:00:00Z", "duration": 2}]


def test_differing_words_do_not_pass(made_up: MadeUp) -> None:
    assert not made_up(callee={"words": ["river", "lamp", "ash"]}).words_match
    assert not made_up(caller={"words": None}, callee={"words": None}).words_match


def test_hearing_one_way_is_not_connected(made_up: MadeUp) -> None:
    deaf = made_up()
    del deaf.callee.timings["first_audio"]
    assert not deaf.connected
    assert "accept_to_audio_ms" not in deaf.stages()
    assert deaf.to_dict()["accept_to_audio_ms"] is None


async def test_trouble_of_a_process_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.cli.demo_run.VARIABLE", "ANOTHER_VARIABLE")
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)
    before = psutil.Process().children(recursive=True)  # servers that other tests share
    with pytest.raises(ChildError, match=r"bob's process ended too early\. It said: entrenous: There is no terminal"):
        await play(1.0, tmp_path, lambda _: None)
    assert psutil.Process().children(recursive=True) == before


async def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrenous.cli", "demo", "--for", "60", "--out", str(tmp_path / "out")),
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert demo.stderr is not None
    async with asyncio.timeout(60):
        while "In call" not in (line := (await demo.stderr.readline()).decode()):
            assert line, "the demo ended before the call began"
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) == 3  # the server and both nodes
    demo.send_signal(signal.SIGINT)
    _, errors = await demo.communicate()
    assert demo.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in errors
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert list(temporary.iterdir()) == []
