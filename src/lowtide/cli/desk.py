"""The way to the engine: settings from files, environment and flags, installed workloads by name, one open engine.

Nothing of a workload is imported before it is asked for.
"""

import gc
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from lowtide.cli.options import Choices
from lowtide.clock import SimulatorClock
from lowtide.engine import Engine
from lowtide.settings import Settings, read_settings
from lowtide.transport import HttpTransport
from lowtide.workload import Workload

GROUP = "lowtide.workloads"
NOBODY = ""  # a simulator does not wait for a client without a name


class Installed(Mapping[str, Workload]):
    """The installed workloads by name, each imported at its first use."""

    def __init__(self) -> None:
        self._points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}

    def __getitem__(self, name: str) -> Workload:
        """Import a workload. Raises: KeyError."""
        workload: Workload = self._points[name].load()
        return workload

    def __iter__(self) -> Iterator[str]:
        """Name them."""
        return iter(self._points)

    def __len__(self) -> int:
        """Count them."""
        return len(self._points)


def settings_of(choices: Choices) -> Settings:
    """Read the settings. Raises: SettingsInvalid."""
    return read_settings(choices.flags(), os.environ, Path.cwd())


@asynccontextmanager
async def desk(choices: Choices, *, works: bool = False) -> AsyncIterator[Engine]:
    """Open the engine, and close it whatever happens. Raises: LowtideError.

    A simulated clock leaps when all its clients sleep; one that only looks must not be one of them, or it would hold
    the clock. ``works``: this command carries runs out.
    """
    engine = Engine.start(settings_of(choices), Installed(), os.environ)
    if isinstance(engine.clock, SimulatorClock) and not works:
        await engine.clock.close()
        engine.clock = SimulatorClock(HttpTransport(engine.settings.simulator, loopback_only=True), NOBODY)
    # What is loaded by now lives until the end: while a plan is made the collector of cycles would walk through all of it
    # every few thousand requests. A program of its own may do so; the engine, which lives in others', leaves it alone.
    gc.freeze()
    try:
        yield engine
    finally:
        gc.unfreeze()
        await engine.close()
