"""The doctor against real faults: real server, real relay, real network; what it names first is what is wrong."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

import pytest

from bench.clinic import PASSPHRASE, Clinic
from bench.doctor_faults import FAULTS, Fault, Run, examine_all
from lab.coturn import SECRET, needs_coturn
from lab.network import needs_network

pytestmark = [needs_network, needs_coturn, pytest.mark.timeout(300)]

AT_A_TIME = 4
CHOSEN = (
    "nothing is wrong, IPv6 too",
    "no way out",
    "own clock behind a fresh certificate",
    "name server silent",
    "captive portal with TLS",
    "server's certificate run out",
    "server full",
    "account unknown",
    "server's clock an hour behind",
    "wrong secret",
    "wrong external address",
    "relay ports closed by a stateful firewall",
    "3478/UDP closed",
    "UDP blocked",
    "only TCP 443",
    "symmetric NAT",
    "contact's key changed",
)
"""A good part of the bench: one of each kind, and those that are easily taken for each other."""

CASES = [fault for fault in FAULTS if fault.name in CHOSEN]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """All cases, examined side by side."""

    async def examine() -> list[Run]:
        clinic = Clinic(tmp_path_factory.mktemp("clinic"))
        for folder in (clinic.folder, *clinic.folder.parents[:2]):
            folder.chmod(0o755)  # the relay's user reads its certificate there
        await clinic.prepare()
        return await examine_all(clinic, [case for case in CASES if can_be_had(case)], at_a_time=AT_A_TIME)

    yield {run.fault.name: run for run in asyncio.run(examine())}


def can_be_had(fault: Fault) -> bool:
    return not fault.setup.needs_shifted_clock or shutil.which("cc") is not None


def test_the_chosen_are_there() -> None:
    assert len(CASES) == len(CHOSEN)


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.name)
def test_it_names_the_fault_first(fault: Fault, runs: dict[str, Run]) -> None:
    if not can_be_had(fault):
        pytest.skip("another time of day needs a C compiler")
    run = runs[fault.name]
    assert run.first == (fault.code and fault.code.value), run.said
    has_fault = any(finding["level"] == "fault" for finding in run.said["findings"])
    assert run.said["exit"] == (15 if has_fault else 0)
    assert run.said["works"] is not has_fault


def test_nothing_it_says_is_secret(runs: dict[str, Run]) -> None:
    for run in runs.values():
        said = str(run.said)
        assert PASSPHRASE not in said
        assert SECRET not in said
        for network in ("192.168.", "198.51.100.", "2001:db8:100:"):
            assert network not in said, "an address of the patient"
