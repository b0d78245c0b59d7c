"""The systemd unit and the container file: what they promise about rights, and that they name what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous_signaling.admission import SPARE_SOCKETS
from entrenous_signaling.checks.machine import SPARE_FILES
from entrenous_signaling.cli.common import CONFIG_VARIABLE, FILE_NAME, STANDARD_FOLDER
from entrenous_signaling.cli.setup import USER
from entrenous_signaling.config import ServerConfig

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "signaling" / "entrenous-signaling.service").read_text()
CONTAINER = (ROOT / "signaling" / "Containerfile").read_text()
MOST_EXPOSED = 2.0

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the program of this environment in place of the one in /opt."""
    path = tmp_path / "entrenous-signaling.service"
    assert "/opt/entrenous/bin/" in UNIT
    path.write_text(UNIT.replace("/opt/entrenous/bin/", f"{Path(sys.executable).parent}/"))
    return path


@needs_systemd
def test_the_unit_is_a_right_one(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_gives_the_server_no_more_than_it_needs(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if said is None:
        pytest.skip(f"this systemd-analyze cannot judge a unit that is not installed: {done.stderr.strip()}")
    assert float(said[1]) <= MOST_EXPOSED, done.stdout


def test_the_unit_fits_what_init_writes_and_the_defaults() -> None:
    config = STANDARD_FOLDER / FILE_NAME
    for line in (f"User={USER}", f"StateDirectory={USER}", "NoNewPrivileges=yes", "LimitCORE=0"):
        assert f"\n{line}\n" in UNIT
    assert f"serve --config {config}\n" in UNIT
    values = dict(re.findall(r"^(\w+)=(\d+)$", UNIT, re.MULTILINE))
    assert int(values["LimitNOFILE"]) >= ServerConfig().max_connections + SPARE_SOCKETS + SPARE_FILES
    assert int(values["TimeoutStopSec"]) > 2 * ServerConfig().drain_seconds


def test_a_server_whose_database_is_away_is_started_again_until_it_is_back() -> None:
    """systemd gives a service up for good that fails five times in ten seconds, unless it is told not to."""
    unit, service = UNIT.split("\n[Service]\n")
    assert "\nRestart=always\n" in service
    assert "\nStartLimitIntervalSec=0\n" in unit


def test_the_server_waits_for_the_clock() -> None:
    (after,) = re.findall(r"^After=(.*)$", UNIT, re.MULTILINE)
    assert {"network-online.target", "time-sync.target"} <= set(after.split())


def test_the_container_is_built_in_stages_and_runs_as_nobody() -> None:
    stages = re.split(r"^FROM ", CONTAINER, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    assert re.findall(r"^USER (.*)$", stages[-1], re.MULTILINE) == ["10001:10001"]
    assert "useradd" in stages[-1].split("\nUSER ")[0]
    assert f"{CONFIG_VARIABLE}={STANDARD_FOLDER / FILE_NAME}" in stages[-1]
    assert 'CMD ["entrenous-signaling", "status"]' in stages[-1]
    assert 'CMD ["serve"]' in stages[-1]
    for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINER, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
