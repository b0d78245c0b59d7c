"""Where the databases of a configuration are."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.store import place
from entrenous_signaling.store.condition import Condition
from entrenous_signaling.store.database import Databases, StoreError, migrate
from entrenous_signaling.store.place import databases_of, existing_databases


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    assert databases_of(ServerConfig(data=str(tmp_path))) == Databases(tmp_path)
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("hush\n")
    url = "postgresql://me@db.example.org/calls"
    config = ServerConfig(data=str(tmp_path), database=url, database_password_file=str(path))
    assert databases_of(config) == Databases(tmp_path, url, "hush")


def test_commands_neither_make_databases_nor_update_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ServerConfig(data=str(tmp_path))
    with pytest.raises(StoreError, match="There are no accounts"):
        existing_databases(config)
    assert list(tmp_path.iterdir()) == []
    migrate(Databases(tmp_path))
    assert existing_databases(config) == Databases(tmp_path)
    for state, words in ((Condition.OLDER, "start the server"), (Condition.NEWER, "update entrenous")):
        monkeypatch.setattr(place, "condition", lambda _, state=state: state)
        with pytest.raises(StoreError, match=words):
            existing_databases(config)
