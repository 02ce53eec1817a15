"""The life of one batch: what it holds, when it ends, and what became of each request.

Here: the outcome of each item, and the result lines. Not here: the items themselves (``items``), HTTP, which batches
exist. Law: counts stay in ``processing`` until the whole batch ends; only succeeded items are billed; reading results
twice gives the same lines in the same order.

Source: reference sheet of the provider's API, sections 1.2 to 1.7, checked 2026-11-21. Not known and chosen here: an
item is priced as of the day its batch was created; items finish at times spread evenly over the batch's turnaround.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from lowtide_simulator.answers import Writer
from lowtide_simulator.bill import Bill, Line, rates_of
from lowtide_simulator.caching import CacheStore
from lowtide_simulator.clock import SECOND, Instant, rfc3339, to_datetime
from lowtide_simulator.errors import error_body
from lowtide_simulator.ids import Ids
from lowtide_simulator.items import SERVER_PROBLEM, Columns, Outcome, Problem, Terms
from lowtide_simulator.messages import encode, message
from lowtide_simulator.validation import Context

DAY: Final = 86_400 * SECOND
ARCHIVE: Final = 29 * DAY
WINDOW_BLOCKS: Final = 8
NEVER: Final = Instant(2**62)


class Status(StrEnum):
    """``processing_status``: these three and nothing else."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Which items a fault is for: by share, by ids, by positions, or (none of these) the first ``rows``."""

    outcome: Outcome
    share: float | None = None
    custom_ids: frozenset[str] = frozenset()
    indexes: frozenset[int] = frozenset()
    rows: int = 1
    problem: Problem = SERVER_PROBLEM

    def takes(self, index: int, custom_id: str, draw: float) -> bool:
        """Whether this item is meant."""
        if self.share is not None:
            return draw < self.share
        if self.custom_ids or self.indexes:
            return custom_id in self.custom_ids or index in self.indexes
        return index < self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Twist:
    """What faults at creation change in a batch's life."""

    stuck: bool = False
    picks: tuple[Pick, ...] = ()
    rows_missing: int = 0
    rows_twice: int = 0


@dataclass(slots=True, kw_only=True)
class Batch:
    """One batch. ``due`` is when it will end; ``listed_at`` is when the list shows it."""

    id: str
    created_at: Instant
    turnaround: int
    context: Context
    columns: Columns
    terms: Terms
    twist: Twist = Twist()
    listed_at: Instant
    due: Instant = NEVER
    cancel_initiated_at: Instant | None = None
    ended_at: Instant | None = None
    archived_at: Instant | None = None

    @property
    def expires_at(self) -> Instant:
        """24 hours after creation."""
        return Instant(self.created_at + DAY)

    @property
    def status(self) -> Status:
        """Its processing status."""
        if self.ended_at is not None:
            return Status.ENDED
        return Status.IN_PROGRESS if self.cancel_initiated_at is None else Status.CANCELING

    def natural_end(self) -> Instant:
        """When it ends if nobody cancels it: its turnaround, or its expiry if anything in it expires."""
        if self.twist.stuck or self.turnaround >= DAY or self._anything_expires():
            return self.expires_at
        return Instant(self.created_at + self.turnaround)

    def _anything_expires(self) -> bool:
        if not self.terms.expired_share and not any(p.outcome is Outcome.EXPIRED for p in self.twist.picks):
            return False
        return any(self._forced(index) is Outcome.EXPIRED for index in range(len(self.columns)))

    def cancel(self, now: Instant) -> None:
        """Begin canceling; it ends shortly after."""
        self.cancel_initiated_at = now
        self.due = min(Instant(now + int(self.terms.cancel_seconds * SECOND)), self.due)

    def moment(self, index: int) -> Instant:
        """When an item would finish."""
        return Instant(self.created_at + int(self.turnaround * self.columns.draw(index, 2)))

    def end(self, at: Instant, bill: Bill, store: CacheStore) -> None:
        """End the batch: decide each outcome, use the caches, bill what succeeded."""
        assert self.ended_at is None
        self.ended_at = at
        columns = self.columns
        columns.outcomes = bytearray(self._outcome(index, at) for index in range(len(columns)))
        if Outcome.CANCELED in columns.outcomes and self.cancel_initiated_at is None:
            self.cancel_initiated_at = at
        self._use_caches(store, at)
        self._bill(bill)

    def _outcome(self, index: int, at: Instant) -> Outcome:
        forced = self._forced(index)
        if forced is not None:
            return forced
        finished = not self.twist.stuck and self.moment(index) <= at
        if not finished:
            if self.cancel_initiated_at is None:
                return Outcome.EXPIRED
            if self.twist.stuck or self.columns.draw(index, 3) >= self.terms.cancel_finish_share:
                return Outcome.CANCELED
        if index in self.columns.problems:
            return Outcome.ERRORED
        return Outcome.SUCCEEDED

    def _forced(self, index: int) -> Outcome | None:
        """An outcome that a fault or the world's shares decide."""
        columns = self.columns
        draw = columns.draw(index, 4)
        for pick in self.twist.picks:
            if pick.takes(index, columns.custom_ids[index], draw):
                if pick.outcome is Outcome.ERRORED:
                    columns.problems.setdefault(index, pick.problem)
                return pick.outcome
        terms = self.terms
        if terms.errored_share and columns.draw(index, 5) < terms.errored_share:
            columns.problems.setdefault(index, SERVER_PROBLEM)
            return Outcome.ERRORED
        if terms.expired_share and columns.draw(index, 6) < terms.expired_share:
            return Outcome.EXPIRED
        return None

    def _use_caches(self, store: CacheStore, at: Instant) -> None:
        """Each item looks at its own moment; what this batch writes is readable only from ``at``."""
        columns = self.columns
        done = [index for index in columns.cuts if columns.outcomes[index] == Outcome.SUCCEEDED]
        for index in sorted(done, key=self.moment):
            model = columns.kinds[columns.kind[index]].model
            columns.served[index] = store.look_up(columns.cuts[index], model, min(self.moment(index), at))
        for index in done:
            store.write(columns.cuts[index], columns.kinds[columns.kind[index]].model, at)

    def _bill(self, bill: Bill) -> None:
        bill.add_batch(self)
        day = to_datetime(self.created_at).date()
        columns = self.columns
        for index in self._billed_indexes():
            model = columns.kinds[columns.kind[index]].model
            usage = columns.usage(index)
            bill.tally(model.id, "batch", usage, rates_of(model.price, usage, day, batch=True))

    def _billed_indexes(self) -> Iterator[int]:
        columns = self.columns
        for index, outcome in enumerate(columns.outcomes):
            if outcome == Outcome.SUCCEEDED and not columns.free[index]:
                yield index

    def billed(self) -> Iterator[Line]:
        """Its lines on the bill."""
        columns = self.columns
        for index in self._billed_indexes():
            model = columns.kinds[columns.kind[index]].model
            yield Line(
                at=self.created_at,
                model=model.id,
                price=model.price,
                lane="batch",
                usage=columns.usage(index),
                digest=columns.digest(index).hex(),
                request_id=f"{self.id}/{index}",
                batch_id=self.id,
                custom_id=columns.custom_ids[index],
            )

    def archive_if_due(self, now: Instant) -> None:
        """Results go 29 days after creation."""
        if self.archived_at is None and self.ended_at is not None and now >= self.created_at + ARCHIVE:
            self.archived_at = Instant(self.created_at + ARCHIVE)

    def counts(self) -> dict[str, int]:
        """``request_counts``: frozen until the end."""
        total = len(self.columns)
        outcomes = self.columns.outcomes
        ended = self.ended_at is not None
        return {
            "processing": 0 if ended else total,
            "succeeded": outcomes.count(Outcome.SUCCEEDED),
            "errored": outcomes.count(Outcome.ERRORED),
            "canceled": outcomes.count(Outcome.CANCELED),
            "expired": outcomes.count(Outcome.EXPIRED),
        }

    def to_json(self, host: str) -> dict[str, Any]:
        """The batch object; ``host`` is where this server is reached."""
        readable = self.ended_at is not None and self.archived_at is None
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status.value,
            "request_counts": self.counts(),
            "ended_at": _time(self.ended_at),
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at),
            "archived_at": _time(self.archived_at),
            "cancel_initiated_at": _time(self.cancel_initiated_at),
            "results_url": f"{host}/v1/messages/batches/{self.id}/results" if readable else None,
        }

    def lines(self, ids: Ids, *, missing: int = 0, twice: int = 0) -> Iterator[bytes]:
        """The result lines, shuffled by the seed; ``missing`` rows left out and ``twice`` rows repeated."""
        missing, twice = missing or self.twist.rows_missing, twice or self.twist.rows_twice
        chance = random.Random(f"{self.terms.seed} {self.id}")
        succeeded = (
            [i for i, outcome in enumerate(self.columns.outcomes) if outcome == Outcome.SUCCEEDED]
            if missing or twice
            else []
        )
        chosen = chance.sample(succeeded, min(len(succeeded), missing + twice))
        gone, doubled = frozenset(chosen[:missing]), frozenset(chosen[missing:])
        for index, raw in self._shuffled(chance):
            if index in gone:
                continue
            line = self._line(index, raw, ids)
            yield line
            if index in doubled:
                yield line

    def _shuffled(self, chance: random.Random) -> Iterator[tuple[int, bytes]]:
        """Every item once: blocks in any order, items in any order within a window of blocks."""
        bodies = self.columns.bodies
        order = list(range(bodies.blocks))
        chance.shuffle(order)
        for start in range(0, len(order), WINDOW_BLOCKS):
            window = [item for number in order[start : start + WINDOW_BLOCKS] for item in bodies.read_block(number)]
            chance.shuffle(window)
            yield from window

    def _line(self, index: int, raw: bytes, ids: Ids) -> bytes:
        columns = self.columns
        match Outcome(columns.outcomes[index]):
            case Outcome.SUCCEEDED:
                result = {"type": "succeeded", "message": self._message(index, raw, ids)}
            case Outcome.ERRORED:
                problem = columns.problems[index]
                request_id = ids.of("req", f"{self.id} {index}")
                result = {"type": "errored", "error": error_body(problem.kind, problem.message, request_id)}
            case other:
                result = {"type": other.name.lower()}
        return encode({"custom_id": columns.custom_ids[index], "result": result}) + b"\n"

    def _message(self, index: int, raw: bytes, ids: Ids) -> dict[str, Any]:
        """Write the answer again; it is the same as the one that was counted."""
        columns = self.columns
        model = columns.kinds[columns.kind[index]].model
        params = msgspec.json.decode(raw)
        answer = Writer(params, columns.digest(index), model, self.terms.seed, self.terms.chances).write()
        message_id = ids.of("msg", f"{self.id} {index}")
        return message(message_id, model, answer, columns.usage(index), tier="batch")


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def first_duplicate(names: Iterable[str]) -> str | None:
    """The first name that comes a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
