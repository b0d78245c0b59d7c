"""Length-checked fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.crypto.fields import FieldReader, sized
from entrenous.errors import RemoteProtocolError


def test_fields_come_off_in_order() -> None:
    reader = FieldReader(b"ab\1\2" + sized(b"long") + sized(b"text"))
    assert (reader.take(2), reader.number(2), reader.sized(4), reader.text(4)) == (b"ab", 258, b"long", "text")
    reader.end()


def test_shortage_excess_and_oddity_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        FieldReader(b"ab").take(3)
    with pytest.raises(RemoteProtocolError):
        FieldReader(b"\0\5abcd").sized(10)
    with pytest.raises(RemoteProtocolError):
        FieldReader(sized(b"abcd")).sized(3)
    with pytest.raises(RemoteProtocolError):
        FieldReader(sized(b"a\nb")).text(10)
    with pytest.raises(RemoteProtocolError):
        FieldReader(b"rest").end()


@given(st.binary(max_size=40), st.integers(0, 50))
def test_any_bytes_are_a_field_or_refused(data: bytes, maximum: int) -> None:
    reader = FieldReader(data)
    try:
        field = reader.sized(maximum)
    except RemoteProtocolError:
        return
    assert len(field) <= maximum
    assert data.startswith(sized(field))
