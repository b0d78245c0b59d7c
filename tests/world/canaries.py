"""Canaries: values that nobody else has, found again wherever they were kept, in whatever way they are written there.

A search looks for each canary in every form that it knows: as it is, in capitals, in UTF-16, as hexadecimal digits,
in base64 and base32 at every alignment, escaped for JSON, for PostgreSQL, for a URL, as a list of numbers, masked as a
frame of a WebSocket. `forms_of_text`, `forms_of_octets` and `forms_of_address` are all there are; a test plants each.

So that a search through much memory takes seconds, values of a kind begin with the same bytes, `mark`: whoever looks
for those finds all of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Final
from urllib.parse import quote

import numpy as np

_SHORTEST: Final = 6
"""Bytes of a form at least, or chance would find it in some megabytes of other data. IPv4 addresses have fewer."""

_PACKED: Final = "packed"
_AROUND: Final = 40
_MASK_BYTES: Final = 4


def mark(kind: str, size: int = 10) -> bytes:
    """The bytes that all canaries of a kind begin with: the same in each run, and in nothing else."""
    return hashlib.sha256(f"canaries of {kind}".encode()).digest()[:size]


def mark_text(kind: str, size: int = 12) -> str:
    """The same as small letters and digits."""
    letters = string.ascii_lowercase + string.digits
    return "".join(letters[byte % len(letters)] for byte in mark(kind, size))


def forms_of_octets(value: bytes) -> dict[str, bytes]:
    """Every way to write some bytes, by its name."""
    digits, numbers = value.hex(), [str(byte) for byte in value]
    forms = {
        "as it is": value,
        "backwards": value[::-1],
        "hexadecimal": digits.encode(),
        "HEXADECIMAL": digits.upper().encode(),
        "hexadecimal with colons": value.hex(":").encode(),
        "HEXADECIMAL with colons": value.hex(":").upper().encode(),
        "hexadecimal with gaps": value.hex(" ").encode(),
        "\\x escapes": "".join(f"\\x{byte:02x}" for byte in value).encode(),
        "\\u escapes": "".join(f"\\u{byte:04x}" for byte in value).encode(),
        "repr of Python": repr(value)[2:-1].encode(),
        "octal escapes": "".join(f"\\{byte:03o}" for byte in value).encode(),
        "escapes of bytea": "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\{b:03o}" for b in value).encode(),
        "string of JSON": json.dumps(value.decode("latin-1"))[1:-1].encode(),
        "UTF-8 of Latin-1": value.decode("latin-1").encode(),
        "URL": quote(value, safe="").encode(),
        "URL, all of it": "".join(f"%{byte:02X}" for byte in value).encode(),
        **{f"numbers with {name}": gap.join(numbers).encode() for name, gap in (("commas", ","), ("gaps", " "))},
        "numbers with commas and gaps": ", ".join(numbers).encode(),
    }
    for alignment in range(3):
        core = _aligned(value, alignment, 6, base64.b64encode)
        forms[f"base64 at {alignment}"] = core
        forms[f"base64url at {alignment}"] = core.translate(bytes.maketrans(b"+/", b"-_"))
    for alignment in range(5):
        forms[f"base32 at {alignment}"] = _aligned(value, alignment, 5, base64.b32encode)
        forms[f"small base32 at {alignment}"] = forms[f"base32 at {alignment}"].lower()
    return forms


def forms_of_text(value: str) -> dict[str, bytes]:
    """Every way to write some ASCII text, by its name."""
    return {
        **forms_of_octets(value.encode()),
        "capitals": value.upper().encode(),
        "one capital": value.capitalize().encode(),
        "UTF-16": value.encode("utf-16-be")[1:-1],  # without its outer zeros it is the same in both orders
        "UTF-32": value.encode("utf-32-be")[3:-3],
    }


def forms_of_address(value: str) -> dict[str, bytes]:
    """Every way to write an IP address, by its name; of IPv4 take one whose numbers have three digits each."""
    address = ip_address(value)
    packed = address.packed
    forms = {
        **{f"text: {name}": form for name, form in forms_of_text(str(address)).items()},
        "name for reverse look-up": address.reverse_pointer.encode(),
        "number": str(int(address)).encode(),
        "backwards": packed[::-1],
        "hexadecimal": packed.hex().encode(),
        "HEXADECIMAL": packed.hex().upper().encode(),
        "HEXADECIMAL of /proc": packed[::-1].hex().upper().encode(),
    }
    if isinstance(address, IPv4Address):
        groups = packed.hex(":", 2)
        mapped = {f"mapped: {name}": form for name, form in forms_of_octets(b"\xff\xff" + packed).items()}
        return {**forms, **mapped, "mapped: groups": f"ffff:{groups}".encode(), _PACKED: packed}
    forms |= {f"packed: {name}": form for name, form in forms_of_octets(packed).items()}
    forms |= {f"network: {name}": form for name, form in forms_of_octets(packed[:8]).items()}
    return {**forms, "text: all of it": address.exploded.encode(), "TEXT: all of it": address.exploded.upper().encode()}


@dataclass(frozen=True)
class Canary:
    """Something that may be looked for.

    Args:
        what: what it is, such as "call id".
        forms: what to look for, by the name of the form.
        masked: what to look for below the mask of a WebSocket's frame; nothing when empty.
    """

    what: str
    forms: Mapping[str, bytes]
    masked: tuple[bytes, ...] = ()

    @classmethod
    def octets(cls, what: str, value: bytes) -> Canary:
        """Bytes, which travel in base64."""
        forms = forms_of_octets(value)
        return cls(what, _usable(forms), tuple(form for name, form in forms.items() if name.startswith("base64 ")))

    @classmethod
    def text(cls, what: str, value: str) -> Canary:
        """ASCII text, which travels as it is."""
        return cls(what, _usable(forms_of_text(value)), (value.encode(),))

    @classmethod
    def address(cls, what: str, value: str) -> Canary:
        """An IP address."""
        forms = forms_of_address(value)
        usable = _usable(forms)
        return cls(what, usable | {_PACKED: forms[_PACKED]} if _PACKED in forms else usable)


@dataclass(frozen=True, order=True)
class Trace:
    """Where a canary was found.

    Args:
        place: in what.
        what: which canary.
        form: how it is written there.
        position: of the first of them.
        around: what stands around it.
    """

    place: str
    what: str
    form: str
    position: int
    around: bytes


def search(place: str, data: bytes, canaries: Iterable[Canary], *, memory: bool = False) -> list[Trace]:
    """Look for canaries in the bytes of a place.

    Args:
        place: what to call it.
        data: what is there.
        canaries: what to look for.
        memory: these are many megabytes: a bare IPv4 address, which chance would find there, counts in a `sockaddr_in`
            only.

    Returns:
        The first trace of each form of each canary.
    """
    needles = _Needles(canaries)
    found: dict[tuple[str, str], Trace] = {}
    for at, what, form in needles.find(data):
        if memory and form == _PACKED and not _is_socket_address(data, at):
            continue
        found.setdefault((what, form), Trace(place, what, form, at, _around(data, at)))
    return list(found.values())


class _Needles:
    """Finds a thousand short texts in a hundred megabytes, in about a second.

    Args:
        canaries: whose forms are looked for; each has four bytes at least.
    """

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._of: dict[int, list[tuple[str, str, bytes]]] = {}
        for canary in canaries:
            for form, needle in canary.forms.items():
                self._of.setdefault(int.from_bytes(needle[:4], "big"), []).append((canary.what, form, needle))
        self._words = np.array(sorted(self._of), np.uint32)
        self._first, self._second = (np.zeros(1 << 16, bool) for _ in range(2))
        self._first[self._words >> 16] = True
        self._second[self._words & 0xFFFF] = True

    def find(self, data: bytes) -> Iterator[tuple[int, str, str]]:
        """Where each of them begins, with what it is and in which form."""
        octets = np.frombuffer(data, np.uint8)
        if len(octets) < 4:
            return
        pairs = octets[:-1].astype(np.uint16) << 8 | octets[1:]
        places = np.flatnonzero(self._first[pairs[:-2]] & self._second[pairs[2:]])
        words = pairs[places].astype(np.uint32) << 16 | pairs[places + 2]
        known = np.isin(words, self._words)
        for at, word in zip(places[known].tolist(), words[known].tolist(), strict=True):
            for what, form, needle in self._of[word]:
                if data.startswith(needle, at):
                    yield at, what, form


def search_masked(place: str, data: bytes, canaries: Iterable[Canary]) -> list[Trace]:
    """Look for canaries that are masked as in the frames of a WebSocket's client, with a mask that nobody knows.

    The mask has four bytes: what is four bytes apart has the same one, and its difference shows through.
    """
    found = []
    differences = _differences(data)
    for canary in canaries:
        for value in canary.masked:
            at = differences.find(_differences(value))
            # The unmasked form has the same differences, and is found by `search`.
            while at >= 0 and data[at : at + len(value)] == value:
                at = differences.find(_differences(value), at + 1)
            if at >= 0:
                found.append(Trace(place, canary.what, "masked", at, _around(data, at)))
    return found


def _around(data: bytes, at: int) -> bytes:
    return data[max(0, at - _AROUND) : at + 2 * _AROUND]


def _differences(data: bytes) -> bytes:
    octets = np.frombuffer(data, np.uint8)
    return (octets[_MASK_BYTES:] ^ octets[:-_MASK_BYTES]).tobytes()


def _is_socket_address(data: bytes, at: int) -> bool:
    """Whether it stands in a `sockaddr_in`: behind family 2 and a port, on a little-endian machine."""
    return data[max(0, at - 4) : max(0, at - 2)] == b"\x02\x00"


def _usable(forms: Mapping[str, bytes]) -> dict[str, bytes]:
    """Each text of a form once, and none that is too short."""
    names: dict[bytes, str] = {}
    for name, form in forms.items():
        if len(form) >= _SHORTEST:
            names.setdefault(form, name)
    return {name: form for form, name in names.items()}


def _aligned(value: bytes, alignment: int, bits: int, encode: object) -> bytes:
    """What is the same in an encoding of `value` behind so many other bytes, whatever those are."""
    assert callable(encode)
    written: bytes = encode(bytes(alignment) + value)
    first, last = -(-8 * alignment // bits), 8 * (alignment + len(value)) // bits
    return written[first:last]
