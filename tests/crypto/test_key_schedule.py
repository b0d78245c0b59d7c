"""The key schedule: each key for one use, each root from the one before."""

from __future__ import annotations

from itertools import product

from entrenous.crypto.key_schedule import Root, Side, first_root

STREAMS = ("audio", "video", "screen")
ROOT = first_root(b"t" * 32, b"a" * 32, b"b" * 32)


def keys(root: Root) -> list[bytes]:
    frames = [root.frame_key(side, stream) for side, stream in product(Side, STREAMS)]
    return [*frames, *(root.channel_key(side) for side in Side), root.expand("words", b"nonces", 32)]


def test_no_two_uses_share_a_key() -> None:
    assert len(set(keys(ROOT))) == 9
    assert all(len(key) == 32 for key in keys(ROOT))


def test_the_first_root_depends_on_everything() -> None:
    variants = [
        first_root(b"T" * 32, b"a" * 32, b"b" * 32),
        first_root(b"t" * 32, b"A" * 32, b"b" * 32),
        first_root(b"t" * 32, b"a" * 32, b"B" * 32),
        first_root(b"t" * 32, b"b" * 32, b"a" * 32),
    ]
    assert len({tuple(keys(root)) for root in [ROOT, *variants]}) == 5


def test_the_next_root_depends_on_the_old_one_the_secret_and_the_key_it_came_under() -> None:
    other = first_root(b"T" * 32, b"a" * 32, b"b" * 32)
    following = [
        ROOT.next(b"s" * 32, b"public"),
        ROOT.next(b"S" * 32, b"public"),
        ROOT.next(b"s" * 32, b"Public"),
        other.next(b"s" * 32, b"public"),
    ]
    assert {root.epoch for root in following} == {1}
    assert len({tuple(keys(root)) for root in [ROOT, *following]}) == 5


def test_a_root_is_overwritten_and_shows_nothing() -> None:
    root = first_root(b"t" * 32, b"a" * 32, b"b" * 32)
    root.forget()
    assert keys(root) == keys(Root(0, bytes(32))) != keys(ROOT)
    assert repr(ROOT) == "<Root of epoch 0>"


def test_sides() -> None:
    assert Side.CALLER.other is Side.CALLEE
    assert Side.CALLEE.other is Side.CALLER
