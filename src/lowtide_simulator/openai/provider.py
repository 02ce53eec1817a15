"""What OpenAI's half of the world knows, and what happens to it as time passes.

Here: files, batches, responses, limits, caches, and what is due for each. Not here: HTTP. Law: everything due by ``now`` has
happened before anyone is told ``now`` (the world sees to it); the same options and calls give the same life.
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lowtide_simulator.batches import Twist
from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.openai.background import Background
from lowtide_simulator.openai.batch_lines import Intake, LineError
from lowtide_simulator.openai.batches import OVER, Batch, Status
from lowtide_simulator.openai.caching import CacheStore
from lowtide_simulator.openai.files import Content, File
from lowtide_simulator.openai.limits import ORGANIZATION, Limits, OpenAILimits
from lowtide_simulator.openai.profiles import OPENAI, Profile
from lowtide_simulator.openai.validation import Context

if TYPE_CHECKING:
    from lowtide_simulator.world import World

STORED_MAX: Final = 2_000
MISSING_FILE_SECONDS: Final = 900
RESULT_DAYS: Final = 30
MAX_DURATION: Final = {"24h": 86_400, "2d": 172_800, "3d": 259_200, "4d": 345_600, "5d": 432_000, "6d": 518_400, "7d": 604_800}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIOptions:
    """Everything that can be chosen about OpenAI's half; seconds are of the simulated clock."""

    profile: Profile = OPENAI
    limits: OpenAILimits = field(default_factory=OpenAILimits)
    validation_seconds: tuple[float, float] = (1.0, 30.0)
    finalizing_seconds: float = 2.0
    output_file_late_seconds: float = 0.0
    """How long a completed batch shows no output file yet."""
    background_seconds: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {"soonest": (2.0, 60.0), "2h": (60.0, 6_600.0), "8h": (600.0, 27_000.0)}
    )
    """Shortest and longest time until a background response is finished, by completion window."""
    default_tier: str = "default"
    """What ``service_tier: auto`` or none means: a project's own setting."""


@dataclass(slots=True)
class Stored:
    """A response that can be fetched again: its JSON, and the tokens that a follow-up would begin with."""

    raw: bytes
    tokens: int


class OpenAIState:
    """One customer of the simulated OpenAI."""

    def __init__(self, world: "World", options: OpenAIOptions) -> None:
        self.world = world
        self.options = options
        self.profile = options.profile
        self.chance = random.Random(f"{world.options.seed} openai")
        self.limits = Limits(options.limits, world.clock.now())
        self.realtime_cache = CacheStore()
        self.batch_cache = CacheStore()
        self.files: dict[str, File] = {}
        self.batches: dict[str, Batch] = {}
        self.background: dict[str, Background] = {}
        self.stored: OrderedDict[str, Stored] = OrderedDict()
        self.queued: Counter[str] = Counter()

    # -------------------------------------------------------------- files

    def add_file(self, content: Content, filename: str, purpose: str, expires_seconds: int | None) -> File:
        """Keep an upload. Those for batches expire after 30 days unless they say otherwise."""
        now = self.world.now()
        lasts = expires_seconds if expires_seconds is not None else RESULT_DAYS * 86_400 if purpose == self.profile.batch_purpose else None  # fmt: skip
        return self._keep(
            File(
                id=self._file_id(),
                filename=filename,
                purpose=purpose,
                created_at=now,
                expires_at=None if lasts is None else Instant(now + lasts * SECOND),
                content=content,
            )
        )

    def _file_id(self) -> str:
        return self.world.ids.letters("file-", self.world.ids.count("file"))

    def _keep(self, file: File) -> File:
        self.files[file.id] = file
        return file

    def file(self, name: str) -> File | None:
        """A file that is there now."""
        file = self.files.get(name)
        now = self.world.now()
        if file is not None and file.expires_at is not None and now >= file.expires_at:
            del self.files[name]
            return None
        return file

    def live_files(self) -> list[File]:
        """Every file, newest first."""
        return [file for file in map(self.file, reversed(list(self.files))) if file is not None]

    # -------------------------------------------------------------- batches

    def create_batch(
        self,
        *,
        input_file_id: str,
        endpoint: str,
        window: str,
        metadata: dict[str, str] | None,
        output_expires_seconds: int | None,
        twist: Twist,
        late_seconds: float = 0.0,
        list_seconds: float = 0.0,
        output_late_seconds: float | None = None,
        cancel_seconds: float | None = None,
    ) -> Batch | None:
        """Make a batch now, or (``late_seconds``) later, in which case there is none yet and None comes back."""
        world, options = self.world, self.options
        turnaround = world.options.turnaround.draw(self.chance)
        validation = self.chance.uniform(*options.validation_seconds)
        late = options.output_file_late_seconds if output_late_seconds is None else output_late_seconds

        def commit(at: Instant) -> Batch:
            batch = Batch(
                id=world.ids.hex("batch_", world.ids.count("batch")),
                input_file_id=input_file_id,
                endpoint=endpoint,
                window=window,
                created_at=at,
                expires_at=Instant(at + MAX_DURATION[window] * SECOND),
                turnaround=turnaround,
                metadata=metadata,
                output_expires_seconds=output_expires_seconds,
                terms=world.terms,
                profile=self.profile,
                listed_at=Instant(at + int(list_seconds * SECOND)),
                twist=twist,
                output_late=int(late * SECOND),
            )
            self.batches[batch.id] = batch
            # A file that does not exist is noticed only after a quarter of an hour (observed 2026-09).
            seconds = validation if self.file(input_file_id) is not None else MISSING_FILE_SECONDS
            world.later(Instant(at + int(seconds * SECOND)), lambda then: self._validate(batch, then))
            if self.profile.batch_expires:
                world.later(batch.expires_at, lambda then: self._expire(batch, then))
            if cancel_seconds is not None:
                world.later(Instant(at + int(cancel_seconds * SECOND)), lambda then: self.cancel(batch, then))
            return batch

        now = world.now()
        if late_seconds:
            world.later(Instant(now + int(late_seconds * SECOND)), lambda at: void(commit(at)))
            return None
        return commit(now)

    def _validate(self, batch: Batch, at: Instant) -> None:
        if batch.status is not Status.VALIDATING:
            return
        file = self.file(batch.input_file_id)
        if file is None or file.content is None:
            message = f"The input file '{batch.input_file_id}' was not found."
            self._fail(batch, [LineError(code="invalid_request", message=message, param="input_file_id")], at)
            return
        context = Context(now=at, batch=True, strict=self.profile.strict, any_model=self.profile.any_model)
        intake = Intake(batch.endpoint, context, self.profile, self.world.options.seed, self.world.options.chances)
        columns = intake.read(file.content)
        errors = intake.errors or self._queue_errors(intake)
        if errors:
            self._fail(batch, errors, at)
            return
        batch.name = intake.name
        if intake.model is not None:
            self.queued[intake.model.id] += intake.queued_tokens()
        batch.begin(columns, intake.model, at)
        ends = batch.ends_at()
        if ends is not None:
            self.world.later(ends, lambda then: self._finalize(batch, then))

    def _queue_errors(self, intake: Intake) -> list[LineError]:
        """Whether the queue of batch tokens would be passed."""
        if intake.model is None:
            return []
        name = intake.model.id
        limit = self.options.limits.of(name).batch_queue_tokens
        if self.queued[name] + intake.queued_tokens() <= limit:
            return []
        message = (
            f"Enqueued token limit reached for {name} in organization {ORGANIZATION}. Limit: {limit:,} enqueued tokens. "
            "Please try again once some in_progress batches have been completed."
        )
        return [LineError(code="token_limit_exceeded", message=message)]

    def _fail(self, batch: Batch, errors: list[LineError], at: Instant) -> None:
        batch.errors = errors
        batch.enter(Status.FAILED, at)
        self.tell("batch.failed", batch.id, at)

    def _finalize(self, batch: Batch, at: Instant) -> None:
        if batch.status is Status.IN_PROGRESS:
            batch.enter(Status.FINALIZING, at)
            ends = Instant(at + int(self.options.finalizing_seconds * SECOND))
            self.world.later(ends, lambda then: self._over(batch, Status.COMPLETED, then, Status.FINALIZING))

    def _expire(self, batch: Batch, at: Instant) -> None:
        self._over(batch, Status.EXPIRED, at, Status.VALIDATING, Status.IN_PROGRESS, Status.FINALIZING)

    def cancel(self, batch: Batch, at: Instant) -> None:
        """Begin to cancel; what is in flight is drained. Whoever is over stays so."""
        if batch.status in (Status.VALIDATING, Status.IN_PROGRESS, Status.FINALIZING):
            batch.enter(Status.CANCELLING, at)
            ends = Instant(at + int(self.world.options.cancel_seconds * SECOND))
            self.world.later(ends, lambda then: self._over(batch, Status.CANCELLED, then, Status.CANCELLING))

    def _over(self, batch: Batch, status: Status, at: Instant, *before: Status) -> None:
        if batch.status not in before:
            return
        batch.enter(status, at)
        assert batch.status in OVER
        batch.settle(at, self.world.bill, self.batch_cache)
        if batch.columns is not None:
            if batch.model is not None:
                self.queued[batch.model.id] -= sum(batch.columns.prompt)
            self._result_files(batch, at)
        self.batch_cache.sweep(at)
        self.tell(f"batch.{status.value}", batch.id, at)

    def _result_files(self, batch: Batch, at: Instant) -> None:
        """The output file when anything succeeded, the error file when anything did not."""
        ids = self.world.ids
        counts = batch.counts(at)
        lasts = batch.output_expires_seconds or RESULT_DAYS * 86_400

        def keep(kind: str, lines: Callable[[], Iterator[bytes]]) -> str:
            return self._keep(
                File(
                    id=self._file_id(),
                    filename=f"{batch.id}_{kind}.jsonl",
                    purpose="batch_output",
                    created_at=at,
                    expires_at=Instant(at + lasts * SECOND),
                    written=lines,
                )
            ).id

        if counts["completed"]:
            batch.output_file_id = keep("output", lambda: batch.output_lines(ids))
        if counts["failed"] or self.profile.empty_error_file:
            batch.error_file_id = keep("error", lambda: batch.error_lines(ids))

    def listed(self) -> list[Batch]:
        """The batches that the list shows, newest first."""
        now = self.world.now()
        return [batch for batch in reversed(self.batches.values()) if batch.listed_at <= now]

    def batch_of_file(self, name: str) -> tuple[Batch, bool] | None:
        """The batch whose output (True) or error file this is."""
        for batch in self.batches.values():
            if name in (batch.output_file_id, batch.error_file_id):
                return batch, name == batch.output_file_id
        return None

    # -------------------------------------------------------------- responses and events

    def store(self, name: str, raw: bytes, tokens: int) -> None:
        """Keep a response so that it can be fetched again; the oldest go."""
        self.stored[name] = Stored(raw, tokens)
        while len(self.stored) > STORED_MAX:
            self.stored.popitem(last=False)

    def tell(self, event: str, name: str, at: Instant) -> None:
        """Something that a webhook reports."""
        self.world.webhooks.tell(event, name, at)

    def state(self) -> dict[str, Any]:
        """Counts, for ``GET /_simulator/state``."""
        states = Counter(batch.status.value for batch in self.batches.values())
        return {
            "batches": dict(states),
            "files": len(self.files),
            "queued_tokens": {name: tokens for name, tokens in self.queued.items() if tokens},
            "background": dict(Counter(found.status for found in self.background.values())),
            "cache_entries": {"realtime": len(self.realtime_cache.entries), "batch": len(self.batch_cache.entries)},
        }


def void(_value: object) -> None:
    """Drop a value where none is wanted."""
