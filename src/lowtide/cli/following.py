"""A run while it is carried out: drawn live on a terminal, told in dated lines elsewhere, one event a line as JSON.

Here too are the two ways to leave: a first Ctrl-C (or SIGTERM) stops sending and leaves what is submitted at the
provider, a second one quits at once. Neither loses work. Nothing here decides what a run does.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

from lowtide.cli import pictures, screen
from lowtide.cli.options import Choices, harmless
from lowtide.cli.screen import span
from lowtide.clock import Clock
from lowtide.engine import Engine
from lowtide.errors import counted
from lowtide.money import show_dollars
from lowtide.reports import RunReport
from lowtide.worker import Turn, Worker

if TYPE_CHECKING:
    from rich.live import Live

TICK_SECONDS = 1.0
REST_SECONDS = 0.1  # at most ten looks a second
SILENCE_SECONDS = 60.0
SHARE_OF_TIME = 20  # showing takes at most a twentieth of the time


class WakingClock:
    """The worker's clock, whose sleep ends at once when somebody wants to leave."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leave = asyncio.Event()

    def wake(self) -> None:
        """End this sleep and every later one."""
        self._leave.set()

    async def now(self) -> datetime:
        """Give the present instant, in UTC."""
        return await self._clock.now()

    async def sleep_until(self, until: datetime) -> datetime:
        """Wait until ``until`` at the latest, or until ``wake``; gives the instant of waking."""
        sleep = asyncio.ensure_future(self._clock.sleep_until(until))
        leave = asyncio.ensure_future(self._leave.wait())
        try:
            await asyncio.wait({sleep, leave}, return_when=asyncio.FIRST_COMPLETED)
            return await sleep if sleep.done() else await self._clock.now()
        finally:
            leave.cancel()
            sleep.cancel()

    async def wait_for(self, event: asyncio.Event, until: datetime) -> None:
        """Wait until something happens, or until ``until``."""
        await self._clock.wait_for(event, until)

    def new_id(self, length: int) -> str:
        """Draw a new id."""
        return self._clock.new_id(length)

    def chance(self) -> float:
        """Draw a number in [0, 1)."""
        return self._clock.chance()


class Leaving:
    """Ctrl-C and SIGTERM, counted. ``asked`` is True after the first."""

    def __init__(self, worker: Worker, farewell: str) -> None:
        self.asked = False
        self._worker = worker
        self._clock = WakingClock(worker.hands.clock)
        worker.doors = {name: replace(hands, clock=self._clock) for name, hands in worker.doors.items()}
        self._farewell = farewell
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take over both signals for a while."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for number in before:
                signal.signal(number, self._on_signal)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print(f"\n{self._farewell}", file=sys.stderr, flush=True)
        self._loop.call_soon_threadsafe(self.stop)

    def stop(self) -> None:
        """Let the worker stop after the step it is at; a sleeping one wakes."""
        self._worker.stopping = True
        self._clock.wake()


class Follower:
    """Shows what happens to some runs. ``begin`` and ``end`` frame it; ``look`` shows what is new.

    ``known`` are runs that were there before and may be followed, too: what happened to them is not told again.
    """

    def __init__(
        self, engine: Engine, choices: Choices, run_ids: list[str], *, named: bool, known: Sequence[str] = ()
    ) -> None:
        self._engine = engine
        self._choices = choices
        self._run_ids = run_ids
        self._named = named
        self._known = known
        self._seen: dict[str, int] = {}
        self._live: Live | None = None
        self._err = screen.console(choices, sys.stderr)
        self._spoke_at = asyncio.get_running_loop().time()

    def begin(self) -> None:
        """Begin to draw, where there is something to draw on; events of earlier sittings are not told again."""
        for run_id in (*self._run_ids, *self._known):
            events = self._engine.events(run_id, newest=1)
            self._seen[run_id] = events[-1].event_id if events else 0
        if not self._named and len(self._run_ids) == 1 and screen.is_lively(self._choices):
            from rich.live import Live  # noqa: PLC0415 only a terminal pays for it

            self._live = Live(console=self._err, auto_refresh=False, transient=True)
            self._live.start()

    def end(self) -> None:
        """Stop drawing; the terminal is as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def also(self, run_id: str) -> None:
        """Follow another run, too."""
        if run_id not in self._run_ids:
            self._run_ids.append(run_id)

    async def look(self) -> None:
        """Show what is new."""
        if self._live is not None:
            report = await self._engine.run_report(self._run_ids[0])
            advice = f"Ctrl-C leaves safely: batches go on. Come back: lowtide run {report.run_id}"
            self._live.update(screen.stacked(pictures.run_picture(report), "", advice), refresh=True)
            return
        told = [run_id for run_id in self._run_ids if self._tell(run_id)]
        now = asyncio.get_running_loop().time()
        if told:
            self._spoke_at = now
        elif now - self._spoke_at > SILENCE_SECONDS and not self._choices.json and not self._choices.quiet:
            self._spoke_at = now
            for run_id in self._run_ids:
                report = await self._engine.run_report(run_id)
                print(f"{screen.stamp(report.now)}  {self._name(run_id)}{_still(report)}", file=sys.stderr, flush=True)

    def _tell(self, run_id: str) -> bool:
        """Write the events that were not written yet."""
        new = self._engine.events(run_id, after=self._seen.get(run_id, 0))
        for event in new:
            self._seen[run_id] = event.event_id
            if self._choices.json:
                from lowtide.cli.shapes import event_json, print_json  # noqa: PLC0415 one of two ways

                print_json(event_json(run_id, event))
            elif not self._choices.quiet or event.level != "info":
                mark = "" if event.level == "info" else f"{event.level}: "
                text = harmless(f"{mark}{event.text}")
                print(f"{screen.stamp(event.at)}  {self._name(run_id)}{text}", file=sys.stderr, flush=True)
        return bool(new)

    def _name(self, run_id: str) -> str:
        return f"{run_id}  " if self._named else ""


def _still(report: RunReport) -> str:
    """Say in one line that it goes on, and how far it is."""
    open_batches = [batch for batch in report.batches if batch.ended_at is None and batch.age is not None]
    ages = [batch.age for batch in open_batches if batch.age is not None]
    where = ""
    if ages:
        usual = report.turnaround
        spread = "no history yet" if usual is None else f"usual {span(usual.half)} - {span(usual.nine_in_ten)}"
        where = f", {counted(len(ages), 'batch', 'batches')} at the provider for {span(max(ages))} ({spread})"
    spent = f"{show_dollars(report.spent)} billed, {show_dollars(report.held)} committed"
    return f"{report.answered:,} of {report.planned:,} answered{where}; {spent}"


async def follow(
    engine: Engine,
    choices: Choices,
    run_ids: list[str] | None,
    *,
    farewell: str,
    once: bool = False,
    known: Sequence[str] = (),
) -> bool:
    """Carry runs out (``None``: every open one, also those that are not ``known`` yet) and show it.

    True when it was left by a signal. Raises: LowtideError.
    """
    follower = Follower(engine, choices, list(run_ids or []), named=run_ids is None, known=known)
    turned = asyncio.Event()

    def on_turn(turn: Turn) -> None:
        for run_id in turn.open_runs:
            follower.also(run_id)
        if once and not turn.commands:
            worker.stopping = True
        turned.set()

    worker = engine.worker(run_ids, on_turn)
    leaving = Leaving(worker, farewell)
    follower.begin()
    try:
        with leaving.watched():
            work: asyncio.Future[Any] = asyncio.ensure_future(worker.work())
            while not work.done():
                await _show(follower, work, turned)
            await work
        if not leaving.asked:
            await follower.look()
    finally:
        follower.end()
    return leaving.asked


async def _show(follower: Follower, work: "asyncio.Future[Any]", turned: asyncio.Event) -> None:
    """Look once, then wait for the next turn; looking takes a small share of the time, whatever the run's size."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await follower.look()
    took = loop.time() - begun
    turned.clear()
    next_turn: asyncio.Future[Any] = asyncio.ensure_future(turned.wait())
    await asyncio.wait([work, next_turn], timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    next_turn.cancel()
    if not work.done():
        await asyncio.wait([work], timeout=max(took * SHARE_OF_TIME, REST_SECONDS))
