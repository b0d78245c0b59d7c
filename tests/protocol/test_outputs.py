"""Outputs name their call, and what is sent names its kind on the wire."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from entrenous.protocol.outputs import Output, SendAccept, SendEnd, SendOutput, SendPlease, SendRing, SendRinging
from entrenous_wire.messages import Kind


def test_every_output_begins_with_the_id_of_its_call() -> None:
    for kind in get_args(Output):
        assert fields(kind)[0].name == "call", kind


def test_the_server_learns_of_rings_accepts_and_ends_only() -> None:
    kinds = {kind: kind.kind for kind in get_args(SendOutput)}
    assert kinds == {
        SendRing: Kind.RING,
        SendRinging: Kind.SIGNAL,
        SendAccept: Kind.ACCEPT,
        SendEnd: Kind.END,
        SendPlease: Kind.SIGNAL,
    }
