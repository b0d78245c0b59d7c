"""`serve`; what a started server does is in `test_app`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from world.operator import run
from world.serverproc import ServerProcess, running_server


async def test_the_configuration_may_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('name = "calls.example.org"\n')
    monkeypatch.setenv("ENTRENOUS_SIGNALING_CONFIG", str(file))
    async with running_server(tmp_path) as server:
        assert server.name == "calls.example.org"


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit (util-linux) is not installed")
async def test_as_many_files_may_be_open_as_the_hard_limit_says(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, prefix=("prlimit", "--nofile=256:4096"))
    await server.start()
    assert server.process is not None
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    await server.stop()
    assert "Max open files            4096                 4096" in limits


def test_what_is_missing_is_said_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "serve", "--data", tmp_path / "data")
    assert (code, "needs TLS" in err, list(tmp_path.iterdir())) == (2, True, [])


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "entrenous_signaling", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.startswith("entrenous-signaling, version")) == (0, True)
