"""PeerDevice: sealed bodies and legs with one device of the other end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence

import pytest

from entrenous.crypto.handshake import CalleeHandshake, CallerHandshake, MediaKinds, RingGuard, Ringing, open_ring
from entrenous.crypto.identity import VerifiedDevice
from entrenous.crypto.messages import Accept, Candidate, End, LegAnswer, LegOffer
from entrenous.crypto.profile import Profile
from entrenous.errors import LocalProtocolError, RemoteProtocolError
from entrenous.media.engine import IceServer
from entrenous.media.events import LegPath
from entrenous.media.identities import RemoteStreams
from entrenous.peer import MAX_EARLY_CANDIDATES, PeerDevice
from entrenous.protocol.inputs import Device
from entrenous_wire.addresses import Address

DEVICE = Device("bob@calls.example.org", "0011223344556677")
CALL = b"c" * 16


class Connection:
    """A leg that writes down what it is given; describing can be held up."""

    def __init__(self, generation: int, held_up: bool) -> None:
        self.generation = generation
        self.taken: list[str | None] = []
        self.data: list[bytes] = []
        self.go = asyncio.Event()
        if not held_up:
            self.go.set()
        self.path: LegPath | None = None

    @property
    def remote_streams(self) -> RemoteStreams:
        raise LocalProtocolError("not described")

    async def offer(self) -> str:
        await self.go.wait()
        return f"offer {self.generation}"

    async def answer(self, offer: str) -> str:
        await self.go.wait()
        return f"answer to {offer}"

    async def accept_answer(self, answer: str) -> None:
        if answer == "nonsense":
            raise RemoteProtocolError("nonsense")

    def add_candidate(self, line: str | None) -> None:
        self.taken.append(line)

    def send_data(self, message: bytes) -> None:
        if len(self.data) >= 2:
            raise LocalProtocolError("full")
        self.data.append(message)

    def send_packet(self, packet: bytes) -> bool:
        return False

    def receive_into(self, handler: Callable[[bytes, float], None] | None) -> None:
        pass

    def network_changed(self) -> None:
        pass

    def use_servers(self, ice_servers: Sequence[IceServer]) -> None:
        pass

    async def close(self) -> None:
        pass


def handshakes() -> tuple[CallerHandshake, CalleeHandshake]:
    now = time.time()
    alice = Profile.create(Address.parse("alice@calls.example.org"), now, os.urandom)
    bob = Profile.create(Address.parse("bob@calls.example.org"), now, os.urandom)
    device = VerifiedDevice.verify(
        Address.parse(bob.address), bob.identity.public_key, bob.certificate, bob.prekeys[0].signed, now
    )
    caller = CallerHandshake(alice.credentials(), device, CALL, MediaKinds.AUDIO, now, os.urandom)
    ring = open_ring(bob.credentials(), caller.ring, CALL, now, RingGuard())
    return caller, CalleeHandshake(bob.credentials(), ring, os.urandom)


def peer_with(
    handshake: CallerHandshake | CalleeHandshake, *, held_up: bool = False
) -> tuple[PeerDevice, list[Connection]]:
    made: list[Connection] = []

    def connect(device: Device, generation: int, relay_only: bool) -> Connection:
        assert device == DEVICE
        made.append(Connection(generation, held_up))
        return made[-1]

    return PeerDevice(DEVICE, handshake, connect), made


async def test_a_ring_is_answered_and_messages_pass_both_ways() -> None:
    caller, callee = handshakes()
    (at_caller, _), (at_callee, _) = peer_with(caller), peer_with(callee)
    offer = LegOffer(0, "offer 0")
    assert at_caller.receive(at_callee.answer_ring(offer)) == Ringing(offer)
    at_callee.receive(caller.secrets.reveal())
    assert at_caller.receive(at_callee.seal(Accept(None))) == Accept(None)
    end = End("remote", None, "media")
    assert at_callee.receive(at_caller.seal(end)) == end
    with pytest.raises(LocalProtocolError, match="Only a callee"):
        at_caller.answer_ring(None)
    at_caller.forget()
    with pytest.raises(LocalProtocolError):
        at_caller.seal(Accept(None))


async def test_an_end_reaches_a_device_that_has_not_rung() -> None:
    caller, callee = handshakes()
    (at_caller, _), (at_callee, _) = peer_with(caller), peer_with(callee)
    end = End("cancelled", None, "ring")
    assert at_callee.receive(at_caller.seal(end)) == end


async def test_our_candidates_wait_for_our_description() -> None:
    peer, made = peer_with(handshakes()[0])
    assert await peer.offer_leg(1, relay_only=False) == LegOffer(1, "offer 1")
    assert peer.connection(1) is made[0]
    assert peer.gathered(1, "one") is None
    assert peer.gathered(1, None) is None
    assert peer.described(1) == [Candidate(1, "one"), Candidate(1, None)]
    assert peer.gathered(1, "two") == Candidate(1, "two")
    assert peer.gathered(9, "of no leg") is None
    assert peer.described(9) == []


async def test_their_candidates_wait_for_their_description() -> None:
    peer, made = peer_with(handshakes()[0])
    await peer.offer_leg(1, relay_only=False)
    peer.take_candidate(Candidate(1, "early"))
    assert made[0].taken == []
    await peer.take_answer(LegAnswer(1, "answer 1"))
    peer.take_candidate(Candidate(1, "late"))
    assert made[0].taken == ["early", "late"]


async def test_their_candidates_wait_for_our_answer_to_their_offer() -> None:
    peer, made = peer_with(handshakes()[0])
    peer.note_offer(LegOffer(2, "offer 2"))
    peer.take_candidate(Candidate(2, "before"))
    for number in range(10 * MAX_EARLY_CANDIDATES):
        peer.take_candidate(Candidate(7, f"of no leg {number}"))
    assert await peer.answer_leg(2, relay_only=False) == LegAnswer(2, "answer to offer 2")
    assert made[0].taken == ["before"]
    assert await peer.answer_leg(2, relay_only=False) is None, "an offer is answered once"


async def test_candidates_that_overtake_their_offer_wait_for_it() -> None:
    """An offer may come by the server while its candidates come by a data channel that has just opened."""
    peer, made = peer_with(handshakes()[0])
    peer.note_offer(LegOffer(1, "offer 1"))
    await peer.answer_leg(1, relay_only=False)
    peer.take_candidate(Candidate(2, "first"))
    peer.note_offer(LegOffer(2, "offer 2"))
    assert await peer.answer_leg(2, relay_only=False) == LegAnswer(2, "answer to offer 2")
    assert made[1].taken == ["first"]


async def test_what_concerns_closed_legs_is_not_kept() -> None:
    peer, _ = peer_with(handshakes()[0])
    for generation in range(1, 1000):
        peer.note_offer(LegOffer(generation, "offer"))
        peer.take_candidate(Candidate(generation, "one"))
        peer.take_candidate(Candidate(generation + 1, "one"))
        peer.take_leg(generation)
        peer.take_candidate(Candidate(generation, "late"))
        assert await peer.answer_leg(generation, relay_only=False) is None
    kept = [value for value in vars(peer).values() if isinstance(value, dict | set)]
    assert max(len(each) for each in kept) <= 2


async def test_a_newer_offer_takes_the_place_of_one_that_waits() -> None:
    peer, _ = peer_with(handshakes()[0])
    peer.note_offer(LegOffer(2, "offer 2"))
    peer.note_offer(LegOffer(3, "offer 3"))
    assert await peer.answer_leg(2, relay_only=False) is None
    assert await peer.answer_leg(3, relay_only=False) == LegAnswer(3, "answer to offer 3")


async def test_a_leg_that_is_closed_while_it_is_described_is_not_announced() -> None:
    peer, made = peer_with(handshakes()[0], held_up=True)
    peer.note_offer(LegOffer(2, "offer 2"))
    offering = asyncio.ensure_future(peer.offer_leg(1, relay_only=False))
    answering = asyncio.ensure_future(peer.answer_leg(2, relay_only=False))
    await asyncio.sleep(0)
    first, second = made
    assert peer.take_leg(1) is first
    assert peer.take_leg(1) is None
    assert peer.take_leg(2) is second
    first.go.set()
    second.go.set()
    assert await offering is None
    assert await answering is None
    assert await peer.offer_leg(1, relay_only=False) is None, "a generation is never used again"


async def test_an_answer_that_fits_no_offer_is_refused() -> None:
    peer, _ = peer_with(handshakes()[0])
    with pytest.raises(RemoteProtocolError, match="not offered"):
        await peer.take_answer(LegAnswer(5, "answer"))
    await peer.offer_leg(5, relay_only=False)
    with pytest.raises(RemoteProtocolError, match="nonsense"):
        await peer.take_answer(LegAnswer(5, "nonsense"))
    with pytest.raises(RemoteProtocolError, match="not offered"):
        await peer.take_answer(LegAnswer(5, "second"))


async def test_data_goes_over_the_newest_open_channel() -> None:
    peer, made = peer_with(handshakes()[0])
    assert not peer.send_data(b"nowhere")
    await peer.offer_leg(1, relay_only=False)
    await peer.offer_leg(2, relay_only=False)
    peer.data_open(2)
    peer.data_open(1)
    assert peer.send_data(b"one")
    assert peer.send_data(b"two")
    assert made[1].data == [b"one", b"two"]
    assert peer.send_data(b"three"), "a full channel is no channel, and an older leg may still have one"
    peer.take_leg(2)
    assert peer.send_data(b"four")
    assert made[0].data == [b"three", b"four"]
    assert not peer.send_data(b"five")
    peer.take_leg(1)
    peer.data_open(1)
    assert not peer.send_data(b"six"), "a leg that was closed meanwhile has none"


RELAYED = "1 1 udp 1 192.0.2.1 5000 typ relay raddr 0.0.0.0 rport 9"
REFLEXIVE = "1 1 udp 1 192.0.2.2 5000 typ srflx raddr 0.0.0.0 rport 9"


@pytest.mark.parametrize("shown", ["description", "early candidate", "later candidate", "nothing"])
async def test_whether_the_peer_hides_is_known_from_all_that_it_shows(shown: str) -> None:
    peer, _ = peer_with(handshakes()[1])
    if shown == "early candidate":
        peer.take_candidate(Candidate(1, REFLEXIVE))
    more = f"a=candidate:{REFLEXIVE}" if shown == "description" else ""
    peer.note_offer(LegOffer(1, f"a=candidate:{RELAYED}\r\n{more}"))
    await peer.answer_leg(1, relay_only=False)
    peer.take_candidate(Candidate(1, RELAYED))
    peer.take_candidate(Candidate(1, None))
    if shown == "later candidate":
        peer.take_candidate(Candidate(1, REFLEXIVE))
    assert peer.hides(1) is (shown == "nothing")
    assert not peer.hides(7), "there is no such leg"
    assert [generation for generation, _ in peer.connections()] == [1]


async def test_an_answer_shows_whether_the_peer_hides() -> None:
    peer, _ = peer_with(handshakes()[0])
    await peer.offer_leg(1, relay_only=False)
    assert peer.hides(1)
    await peer.take_answer(LegAnswer(1, f"a=candidate:{REFLEXIVE}"))
    assert not peer.hides(1)
