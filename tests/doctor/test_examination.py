"""The order of an examination: what is looked at, what is skipped, what it says when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from entrenous import Address, ConfigError, Finding, FindingCode, MediaConfig, NodeConfig, Profile, examine
from entrenous.doctor import examination
from entrenous.doctor.facts import (
    AccountFacts,
    Attempt,
    EndpointFacts,
    LoginFacts,
    NameProblem,
    NatFacts,
    NetworkFacts,
    PeerFacts,
    RelayFacts,
    ServerFacts,
    SoundFacts,
    Way,
)
from entrenous_wire.messages import RegistrationPolicy, Turn

HOST = "calls.example.org"
CAROL = Address("carol", HOST)
CONFIG = NodeConfig(server=HOST)
SERVER = ServerFacts(
    HOST,
    attempts=(Attempt("192.0.2.1"),),
    clock_ahead=0.0,
    status=101,
    server_name=HOST,
    speaks_our_version=True,
    registration=RegistrationPolicy.OPEN,
)
TURN = Turn(request=1, urls=["turn:a"], username="1:a", password="secret", ttl=600)
END = EndpointFacts("turn:a", "a", Way.UDP, 3478, "192.0.2.2", relayed="192.0.2.2")
NAT = NatFacts(translated=True, same_toward_others=True, local="192.168.1.2 port 5", mapped="198.51.100.1 port 5")
NETWORK = NetworkFacts(True, True, False, False)


class World:
    """What the looks will see; a test changes what it is about."""

    def __init__(self) -> None:
        self.account = AccountFacts()
        self.network = NETWORK
        self.server = SERVER
        self.login = LoginFacts()
        self.turn: Turn | str | None = TURN
        self.relays = RelayFacts(endpoints=(END,), nat=NAT)
        self.peer = PeerFacts(str(CAROL), is_contact=True, devices=1)
        self.sound = SoundFacts(microphones=1, speakers=1, level_dbfs=-40.0)
        self.sound_hangs = False
        self.devices_tried: tuple[object, object] | None = None
        self.profile = Profile.create(None, None, Address("bob", HOST))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    seen = World()

    async def account(open_profile: Any) -> tuple[AccountFacts, Profile | None]:
        return seen.account, open_profile()

    async def server(url: str, context: object) -> ServerFacts:
        return seen.server

    @asynccontextmanager
    async def log_in(config: NodeConfig, profile: Profile) -> AsyncIterator[tuple[LoginFacts, object | None]]:
        yield seen.login, object() if seen.login.refusal is None else None

    async def turn(link: object) -> Turn | str | None:
        return seen.turn

    async def relays(answer: Turn, context: object, now: float, step: object) -> RelayFacts:
        return seen.relays

    async def peer(link: object, profile: Profile, whom: Address) -> PeerFacts:
        return seen.peer

    async def sound(microphone: object, speaker: object) -> SoundFacts:
        seen.devices_tried = (microphone, speaker)
        if seen.sound_hangs:
            await asyncio.Event().wait()
        return seen.sound

    for name, stand_in in {
        "look_at_account": account,
        "look_at_network": lambda: seen.network,
        "look_at_server": server,
        "log_in": log_in,
        "ask_for_relays": turn,
        "look_at_relays": relays,
        "look_at_peer": peer,
        "look_at_sound": sound,
    }.items():
        monkeypatch.setattr(examination, name, stand_in)
    return seen


async def examined(world: World, config: NodeConfig | None = CONFIG, **options: Any) -> list[Finding]:
    return [finding async for finding in examine(config, lambda: world.profile, **options)]


def codes(findings: list[Finding]) -> list[FindingCode]:
    return [finding.code for finding in findings]


def skipped(findings: list[Finding]) -> list[str]:
    assert findings[-1].code is FindingCode.SKIPPED
    return [str(part) for part in findings[-1].details["parts"]]  # type: ignore[attr-defined]  # it is a list


async def test_all_is_well(world: World) -> None:
    assert codes(await examined(world, peer=CAROL)) == [
        FindingCode.ACCOUNT_OPEN,
        FindingCode.NETWORK_UP,
        FindingCode.SERVER_REACHED,
        FindingCode.CLOCK_RIGHT,
        FindingCode.LOGGED_IN,
        FindingCode.NAT_ENDPOINT_INDEPENDENT,
        FindingCode.PEER_READY,
        FindingCode.SOUND_WORKS,
    ]


async def test_what_nobody_asked_for_is_not_looked_at(world: World) -> None:
    found = codes(await examined(world, sound=False))
    assert FindingCode.SOUND_WORKS not in found
    assert FindingCode.PEER_READY not in found
    assert FindingCode.SKIPPED not in found


async def test_the_sound_devices_are_those_that_calls_use(world: World) -> None:
    await examined(world)
    assert world.devices_tried == (None, None)
    chosen = MediaConfig(microphone="Headset", speaker=3)
    await examined(world, NodeConfig(server=HOST, media=chosen))
    assert world.devices_tried == ("Headset", 3)


async def test_without_a_network_nothing_outside_is_tried(world: World) -> None:
    world.network = NetworkFacts(False, False, False, False)
    found = await examined(world, peer=CAROL)
    assert codes(found)[:2] == [FindingCode.ACCOUNT_OPEN, FindingCode.NO_NETWORK]
    assert skipped(found) == ["server", "login", "relays", "peer"]
    assert FindingCode.SOUND_WORKS in codes(found), "the sound devices have nothing to do with it"


async def test_a_name_that_is_not_found_has_no_consequences_of_its_own(world: World) -> None:
    world.server = ServerFacts(HOST, name_problem=NameProblem.SILENT)
    found = await examined(world, sound=False)
    assert codes(found)[2:] == [FindingCode.DNS_SILENT, FindingCode.SKIPPED]
    assert skipped(found) == ["login", "relays"]


async def test_a_refused_login_ends_it(world: World) -> None:
    world.login = LoginFacts("unknown-user")
    found = await examined(world, sound=False)
    assert codes(found)[-2:] == [FindingCode.ACCOUNT_UNKNOWN, FindingCode.SKIPPED]
    assert skipped(found) == ["relays"]


async def test_the_login_can_be_left_out(world: World) -> None:
    found = await examined(world, sound=False, login=False)
    assert FindingCode.LOGGED_IN not in codes(found)
    assert FindingCode.CLOCK_RIGHT in codes(found)
    assert skipped(found) == ["login", "relays"]


async def test_the_server_is_looked_at_before_there_is_an_account(world: World) -> None:
    found = [finding async for finding in examine(CONFIG, None, sound=False)]
    assert codes(found)[0] is FindingCode.NO_ACCOUNT
    assert FindingCode.SERVER_REACHED in codes(found)
    nowhere = [finding async for finding in examine(None, None, sound=False)]
    assert codes(nowhere) == [FindingCode.NO_ACCOUNT, FindingCode.SKIPPED]


async def test_the_relay_says_whose_clock_is_wrong(world: World) -> None:
    world.server = ServerFacts(**{f: getattr(SERVER, f) for f in SERVER.__slots__} | {"clock_ahead": 3600.0})
    assert FindingCode.CLOCK_OFF in codes(await examined(world))
    refused = EndpointFacts("turn:a", "a", Way.UDP, 3478, "192.0.2.2", refusal=401)
    world.relays = RelayFacts(endpoints=(refused,), seconds_left=-3000.0)
    found = codes(await examined(world))
    assert FindingCode.SERVER_CLOCK_OFF in found
    assert FindingCode.CLOCK_OFF not in found


async def test_calls_that_stay_on_this_machine_need_no_network(world: World) -> None:
    world.network = NetworkFacts(False, False, False, False)
    local = NodeConfig(server="ws://127.0.0.1:8443", loopback_only=True)
    found = codes(await examined(world, local, sound=False))
    assert found[-1] is FindingCode.LOGGED_IN


@pytest.mark.parametrize(
    ("answer", "code"), [(None, FindingCode.NO_RELAY), ("It is busy.", FindingCode.RELAY_CREDENTIALS_MISSING)]
)
async def test_no_relays_to_look_at(world: World, answer: str | None, code: FindingCode) -> None:
    world.turn = answer
    assert codes(await examined(world, sound=False))[-1] is code


async def test_addresses_and_secrets_stay_here_unless_asked_for(world: World) -> None:
    said = str(await examined(world, peer=CAROL))
    assert "192.168.1.2" not in said
    assert "198.51.100.1" not in said
    assert "secret" not in said
    shown = str(await examined(world, show_addresses=True))
    assert "192.168.1.2" in shown
    assert "198.51.100.1" in shown


async def test_it_ends_however_bad_everything_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "TOTAL_SECONDS", 0.05)
    world.sound_hangs = True
    assert skipped(await examined(world)) == ["sound"]


async def test_it_tells_what_it_does(world: World) -> None:
    steps: list[str] = []
    await examined(world, peer=CAROL, step=steps.append)
    assert steps[0] == "Opening the account …"
    assert f"Asking for {CAROL} …" in steps


async def test_who_stops_listening_stops_it(world: World) -> None:
    world.sound_hangs = True
    async for _ in (findings := examine(CONFIG, lambda: world.profile)):
        break
    await findings.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_a_file_of_authorities_that_cannot_be_used_is_an_error(world: World, tmp_path: Path) -> None:
    config = NodeConfig(server=HOST, ca_file=tmp_path / "missing.pem")
    with pytest.raises(ConfigError):
        await examined(world, config)
