"""What the Linux kernel says about addresses, routes and links (rtnetlink(7)), and whether it is news (pure)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE (linux/rtnetlink.h): what to subscribe to."""

MAX_KNOWN: Final = 4096
"""Facts that are remembered; beyond that everything counts as new again."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")

_OVERRUN = 4
_NEW_LINK, _DEL_LINK = 16, 17
_NEW_ADDRESS, _DEL_ADDRESS = 20, 21
_NEW_ROUTE, _DEL_ROUTE = 24, 25

_LINK_UP = 0x1 | 0x40 | 0x10000
"""IFF_UP, IFF_RUNNING, IFF_LOWER_UP (linux/if.h)."""
_UNUSABLE = 0x08 | 0x20 | 0x40
"""IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE (linux/if_addr.h)."""
_ADDRESS_ATTRIBUTES = {1, 2}
"""IFA_ADDRESS, IFA_LOCAL; not the lifetimes, which every router's announcement sets anew."""
_ROUTE_ATTRIBUTES = {1, 4, 5, 6, 7, 9, 15}
"""RTA_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE."""
_LOCAL_TABLE = 255
_CLONED = 0x200
"""RTM_F_CLONED: an entry of a cache, not of a table."""

Fact = tuple[object, ...]


class NetworkState:
    """Knows whether a message is news or a repetition.

    Routers announce themselves every few seconds and wireless links report their signal: the kernel passes all of
    it on, and none of it is a reason to do anything.
    """

    def __init__(self) -> None:
        self._known: dict[Fact, Fact] = {}

    def take(self, data: bytes) -> bool:
        """Take what one read gave; whether anything about addresses, routes or links is different now.

        ::

            length(4) type(2) flags(2) sequence(4) port(4) │ fixed part │ attributes: length(2) type(2) value, padded
        """
        changed = False
        for kind, body in _messages(data):
            try:
                if kind in (_NEW_LINK, _DEL_LINK):
                    changed |= self._take_link(body, gone=kind == _DEL_LINK)
                elif kind in (_NEW_ADDRESS, _DEL_ADDRESS):
                    changed |= self._take_address(body, gone=kind == _DEL_ADDRESS)
                elif kind in (_NEW_ROUTE, _DEL_ROUTE):
                    changed |= self._take_route(body, gone=kind == _DEL_ROUTE)
                elif kind == _OVERRUN:
                    self.forget()
                    changed = True
            except struct.error:
                changed = True  # a kernel that speaks otherwise than we know: look rather than miss something
        return changed

    def forget(self) -> None:
        """News were lost: what was known may be gone since, and its return would pass for a repetition."""
        self._known.clear()

    def _take_link(self, body: bytes, *, gone: bool) -> bool:
        _, _, index, flags, _ = _LINK.unpack_from(body)
        return self._note(("link", index), (flags & _LINK_UP,), gone=gone)

    def _take_address(self, body: bytes, *, gone: bool) -> bool:
        family, prefix, flags, _, index = _ADDRESS.unpack_from(body)
        address = _attributes(body[_ADDRESS.size :], _ADDRESS_ATTRIBUTES)
        return self._note(("address", family, prefix, index, address), (flags & _UNUSABLE,), gone=gone)

    def _take_route(self, body: bytes, *, gone: bool) -> bool:
        family, prefix, _, tos, table, _, _, kind, flags = _ROUTE.unpack_from(body)
        if table == _LOCAL_TABLE or flags & _CLONED:
            return False  # the routes to our own addresses are told as addresses already
        where = _attributes(body[_ROUTE.size :], _ROUTE_ATTRIBUTES)
        return self._note(("route", family, prefix, tos, kind, where), (), gone=gone)

    def _note(self, name: Fact, value: Fact, *, gone: bool) -> bool:
        if gone:
            self._known.pop(name, None)
            return True
        if self._known.get(name) == value:
            return False
        if len(self._known) >= MAX_KNOWN:
            self.forget()
        self._known[name] = value
        return True


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += _aligned(length)


def _attributes(data: bytes, wanted: set[int]) -> tuple[tuple[int, bytes], ...]:
    found = []
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        if kind in wanted:
            found.append((kind, bytes(data[offset + _ATTRIBUTE.size : offset + length])))
        offset += _aligned(length)
    return tuple(found)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
