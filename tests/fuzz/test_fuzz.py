"""The fuzzers run for a moment and find nothing; and what they begin with is every message that there is."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from entrenous_wire.messages import FromNode, FromServer
from fuzz.corpus import messages

TESTS = Path(__file__).parent.parent


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize(("name", "runs"), [("fuzz_wire", 10_000), ("fuzz_hub", 800)])
def test_a_short_run_finds_nothing(name: str, runs: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"fuzz.{name}", str(runs), "--seed=7", f"--corpus={tmp_path}"],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    executed = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None
    assert int(executed[1]) >= runs


def test_the_corpus_has_every_message() -> None:
    assert {type(message) for message in messages()} == {*get_args(FromNode), *get_args(FromServer)}
