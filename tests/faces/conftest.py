"""What the tests of faces share: folders, simulators and desks (``desks``) as fixtures."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desks import Desk, simulators


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path has always the same length, so that lines break where they broke."""
    path = Path(tempfile.mkdtemp(prefix="lt-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start_simulator() -> Iterator[Callable[..., str]]:
    """Start simulators for one test."""
    with simulators() as start:
        yield start


@pytest.fixture
def even_chance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No jitter and one time zone, so that simulated times are the same each time and everywhere."""
    monkeypatch.setattr("lowtide.clock.Chance.chance", lambda self: 0.5)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def desk(folder: Path, start_simulator: Callable[..., str], even_chance: None) -> Iterator[Desk]:
    """A desk at a simulator with a virtual clock."""
    address = start_simulator("--results-delay", "600")
    made = Desk(folder, {"LOWTIDE_SIMULATOR": address, "LOWTIDE_STORE": "store", "LOWTIDE_POLL_SECONDS_MIN": "60"})
    yield made
    made.close()


@pytest.fixture(scope="module")
def finished() -> Iterator[Desk]:
    """A desk with one run that is over, made once; ``done`` gives copies of it."""
    path = Path(tempfile.mkdtemp(prefix="lt-", dir="/tmp"))
    with simulators() as start, pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowtide.clock.Chance.chance", lambda self: 0.5)
        address = start("--results-delay", "600")
        made = Desk(path, {"LOWTIDE_SIMULATOR": address, "LOWTIDE_STORE": "store", "LOWTIDE_POLL_SECONDS_MIN": "60"})
        assert made("run", made.requests(4), "--route", "batch", "--yes", "-q").code == 0
        yield made
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def done(finished: Desk, folder: Path, even_chance: None) -> Desk:
    """A desk with one run that is over. Its simulator is shared: look, and send nothing."""
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True)
    return Desk(folder, dict(finished.environment))


@pytest.fixture
def empty_desk(folder: Path, even_chance: None) -> Iterator[Desk]:
    """A desk with no simulator and no key."""
    made = Desk(folder, {"LOWTIDE_STORE": "store", "LOWTIDE_BASE_URL": "http://127.0.0.1:9"})
    yield made
    made.close()
