"""Every store test runs on SQLite and on a real PostgreSQL. No skip: where the server cannot start, its tests fail.

``home`` is an empty place for a store on either; ``store`` is one that is migrated and open.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres import PostgresServer
from world import Home

from lowtide.store import Store

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """One server a test process."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite database, to be copied."""
    folder = tmp_path_factory.mktemp("migrated") / "store"
    Store(folder, durable=False).open().close()
    return folder / "store.db"


@pytest.fixture(scope="session")
def migrated_postgresql(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated, empty PostgreSQL database, to be a template."""
    name = server.new_database()
    Store(tmp_path_factory.mktemp("migrated") / "store", url=server.address(name), durable=False).open().close()
    return name


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A place for a store that was never opened."""
    url = ""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("server")
        url = server.address(server.new_database())
    home = Home(kind=request.param, folder=tmp_path / "store", url=url)
    yield home
    home.close()


@pytest.fixture(params=KINDS)
def migrated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A place for a store that is migrated, and empty."""
    folder, url = tmp_path / "store", ""
    folder.mkdir(mode=0o700)
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("server")
        url = server.address(server.new_database(request.getfixturevalue("migrated_postgresql")))
    else:
        shutil.copy(request.getfixturevalue("migrated_sqlite"), folder / "store.db")
    home = Home(kind=request.param, folder=folder, url=url)
    yield home
    home.close()


@pytest.fixture
def store(migrated: Home) -> Store:
    """A store that is migrated and open."""
    return migrated.open()


@pytest.fixture
def sqlite_home(tmp_path: Path) -> Iterator[Home]:
    """A place for what only SQLite has."""
    home = Home(kind="sqlite", folder=tmp_path / "store", url="")
    yield home
    home.close()


@pytest.fixture
def reopened(migrated: Home) -> Callable[[], Store]:
    """Open the same store once more, as another process would."""
    return migrated.open
