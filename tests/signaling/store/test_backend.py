"""What a kind of database says when it refuses."""

from __future__ import annotations

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from entrenous_signaling.store import schema
from entrenous_signaling.store.backend import Part, explain
from entrenous_signaling.store.database import Databases, migrate


def test_a_refusal_is_explained_without_the_values(databases: Databases) -> None:
    migrate(databases)
    engine = databases.backend().engine(Part.ACCOUNTS, writes=True)
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection, connection.begin():
        connection.execute(
            insert(schema.device), {"username": "canary", "device": "d1", "certificate": b"", "not_after": 1}
        )
    engine.dispose()
    assert "canary" not in explain(caught.value)
    assert "foreign key constraint" in explain(caught.value).lower()


def test_without_a_reason_there_is_still_a_sentence() -> None:
    assert explain(SQLAlchemyError("statement and values")) == "the database refused."
