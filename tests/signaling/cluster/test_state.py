"""What a node says of its cluster: connected, how many it hears, and what waits."""

from __future__ import annotations

from entrenous_signaling.cluster.peers import LOST_SECONDS
from entrenous_signaling.cluster.state import ClusterState
from world.hubworld import ALICE, BOB, HubWorld
from world.manyhubs import ManyHubs, OneOfMany


def state_of(hub: OneOfMany) -> ClusterState:
    state = hub.hub.cluster_state
    assert state is not None
    return state


def test_a_server_that_is_alone_has_none() -> None:
    assert HubWorld().hub.cluster_state is None


def test_it_tells_of_nodes_and_sessions() -> None:
    hubs = ManyHubs(3)
    hubs.hubs[0].register(ALICE)
    hubs.hubs[1].register(BOB)
    first, third = state_of(hubs.hubs[0]), state_of(hubs.hubs[2])
    assert (first.connected, first.cut_off_since, first.nodes, first.sessions) == (True, None, 2, 1)
    assert (third.nodes, third.sessions, third.dropped, third.lost_nodes) == (2, 2, 0, 0)


def test_it_tells_since_when_there_is_no_bus_and_what_waits_for_it() -> None:
    hubs = ManyHubs(2)
    alice, _ = hubs.hubs[0].register(ALICE), hubs.hubs[1].register(BOB)
    hubs.advance(1)
    assert (state_of(hubs.hubs[0]).waiting, state_of(hubs.hubs[0]).waiting_bytes) == (0, 0)
    since = hubs.now
    hubs.hubs[0].cut()
    alice.say(ALICE.send(1, BOB))
    hubs.advance(1)
    state = state_of(hubs.hubs[0])
    assert (state.connected, state.cut_off_since, state.nodes, state.waiting) == (False, since, 1, 1)
    assert state.waiting_bytes > 1024
    hubs.advance(LOST_SECONDS)
    state = state_of(hubs.hubs[0])
    assert (state.nodes, state.lost_nodes, state.waiting) == (0, 1, 0)
