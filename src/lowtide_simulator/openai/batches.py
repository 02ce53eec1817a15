"""The life of one OpenAI batch: validated, worked off, finalized; or failed, expired, cancelled.

Here: states and their times, the outcome of each request, the two result files, the object. Not here: HTTP, which batches
exist, when something is due (``provider``). Law: reading a result file twice gives the same lines in the same order; what
finished is billed, also when the batch expired or was cancelled.

Source: reference sheet of OpenAI's API, sections 2.2 and 2.3, checked 2026-11-21. Not known and chosen here: requests finish
at times spread evenly over the batch's turnaround; a request is priced as of the day its batch was created.
"""

import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from lowtide_simulator.batches import Twist
from lowtide_simulator.bill import Bill, Line
from lowtide_simulator.clock import SECOND, Instant, rfc3339, to_datetime
from lowtide_simulator.ids import Ids
from lowtide_simulator.items import SERVER_PROBLEM, Outcome, Problem, Terms
from lowtide_simulator.messages import encode
from lowtide_simulator.openai import chat, responses
from lowtide_simulator.openai.batch_lines import Columns, LineError
from lowtide_simulator.openai.caching import CacheStore
from lowtide_simulator.openai.errors import CODES, MESSAGES, TYPES, error_json
from lowtide_simulator.openai.models import Model
from lowtide_simulator.openai.prices import Rates, find_rates
from lowtide_simulator.openai.profiles import Profile
from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.validation import CHAT
from lowtide_simulator.openai.work import Work, answers_of, limit_of

WINDOW_BLOCKS: Final = 8
EXPIRED: Final = "This request could not be executed before the completion window expired."
CANCELLED: Final = "This request was not executed because the batch was cancelled."


class Status(StrEnum):
    """The eight states."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


OVER: Final = frozenset({Status.FAILED, Status.COMPLETED, Status.EXPIRED, Status.CANCELLED})
TIMES: Final = (
    "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at",
    "cancelled_at",
)  # fmt: skip
ENTERED: Final[dict[Status, str]] = {
    status: f"{status.value}_at" for status in Status if status is not Status.VALIDATING
}


@dataclass(slots=True, kw_only=True)
class Batch:
    """One batch. ``times`` holds the instants of ``TIMES`` that have come; ``columns`` is there once it is validated."""

    id: str
    input_file_id: str
    endpoint: str
    window: str
    created_at: Instant
    expires_at: Instant
    turnaround: int
    metadata: dict[str, str] | None
    output_expires_seconds: int | None
    terms: Terms
    profile: Profile
    listed_at: Instant
    twist: Twist = field(default_factory=Twist)
    output_late: int = 0
    status: Status = Status.VALIDATING
    times: dict[str, Instant] = field(default_factory=dict)
    errors: list[LineError] = field(default_factory=list)
    columns: Columns | None = None
    model: Model | None = None
    name: str = ""
    outcomes: bytearray = field(default_factory=bytearray)
    output_file_id: str | None = None
    error_file_id: str | None = None
    used: tuple[int, int, int, int] = (0, 0, 0, 0)
    _done: "array[int] | None" = None
    _failed: "array[int] | None" = None

    def enter(self, status: Status, at: Instant) -> None:
        """Go to another state."""
        self.status = status
        self.times[ENTERED[status]] = at

    def begin(self, columns: Columns, model: Model | None, at: Instant) -> None:
        """Validation is over: work begins."""
        self.columns, self.model = columns, model
        self.enter(Status.IN_PROGRESS, at)

    def ends_at(self) -> Instant | None:
        """When all is done if nobody cancels it, None when that is never."""
        assert self.columns is not None
        if self.twist.stuck or self._anything_expires():
            return None
        return Instant(self.times["in_progress_at"] + self.turnaround)

    def _anything_expires(self) -> bool:
        if not self.terms.expired_share and not any(p.outcome is Outcome.EXPIRED for p in self.twist.picks):
            return False
        assert self.columns is not None
        return any(self._forced(index) is Outcome.EXPIRED for index in range(len(self.columns)))

    def moment(self, index: int) -> Instant:
        """When a request finishes."""
        assert self.columns is not None
        return Instant(self.times["in_progress_at"] + int(self.turnaround * self.columns.draw(index, 2)))

    # -------------------------------------------------------------- outcomes

    def settle(self, at: Instant, bill: Bill, store: CacheStore) -> None:
        """Decide each outcome, use the caches, bill what succeeded."""
        columns = self.columns
        if columns is None:
            return
        self.outcomes = bytearray(self._outcome(index, at) for index in range(len(columns)))
        self._use_caches(store)
        self._bill(bill)

    def _outcome(self, index: int, at: Instant) -> Outcome:
        assert self.columns is not None
        forced = self._forced(index)
        if forced is not None:
            return forced
        stop = self.times.get("cancelling_at", at)
        if self.twist.stuck or self.moment(index) > stop:
            if "cancelling_at" not in self.times:
                return Outcome.EXPIRED
            # Work in flight when the cancel came is finished and billed.
            if self.twist.stuck or self.columns.draw(index, 3) >= self.terms.cancel_finish_share:
                return Outcome.CANCELED
        return Outcome.ERRORED if index in self.columns.problems else Outcome.SUCCEEDED

    def _forced(self, index: int) -> Outcome | None:
        """An outcome that a fault or the world's shares decide."""
        columns = self.columns
        assert columns is not None
        draw = columns.draw(index, 4)
        for pick in self.twist.picks:
            if pick.takes(index, columns.custom_ids[index], draw):
                if pick.outcome is Outcome.ERRORED:
                    columns.problems.setdefault(index, _scripted(pick.problem))
                return pick.outcome
        terms = self.terms
        if terms.errored_share and columns.draw(index, 5) < terms.errored_share:
            columns.problems.setdefault(index, _scripted(SERVER_PROBLEM))
            return Outcome.ERRORED
        if terms.expired_share and columns.draw(index, 6) < terms.expired_share:
            return Outcome.EXPIRED
        return None

    def _use_caches(self, store: CacheStore) -> None:
        columns, model = self.columns, self.model
        assert columns is not None
        if model is None:
            return
        done = [index for index in columns.cuts if self.outcomes[index] == Outcome.SUCCEEDED]
        for index in sorted(done, key=self.moment):
            columns.served[index] = store.serve(columns.cuts[index], model, self.moment(index))

    def _bill(self, bill: Bill) -> None:
        columns, model = self.columns, self.model
        assert columns is not None
        if model is None:
            return
        bill.add_batch(self)
        totals = [0, 0, 0, 0]
        for index in self._succeeded():
            usage = columns.usage(index, model)
            bill.tally(model.id, "batch", usage, self._rates(usage), provider="openai")
            for place, amount in enumerate((usage.prompt, usage.cached, usage.output, usage.reasoning)):
                totals[place] += amount
        self.used = (totals[0], totals[1], totals[2], totals[3])

    def _rates(self, usage: Usage) -> Rates:
        assert self.model is not None
        day = to_datetime(self.created_at).date()
        cached = self.model.batch_cached_rate
        return find_rates(self.model.price, day, usage.prompt, lane="batch", cached_rate=cached)

    def _succeeded(self) -> Iterator[int]:
        for index, outcome in enumerate(self.outcomes):
            if outcome == Outcome.SUCCEEDED:
                yield index

    def billed(self) -> Iterator[Line]:
        """Its lines on the bill."""
        columns, model = self.columns, self.model
        assert columns is not None
        assert model is not None
        for index in self._succeeded():
            usage = columns.usage(index, model)
            yield Line(
                at=self.created_at,
                model=model.id,
                price=model.price,
                lane="batch",
                usage=usage,
                digest=columns.digest(index).hex(),
                request_id=f"{self.id}/{index}",
                batch_id=self.id,
                custom_id=columns.custom_ids[index],
                provider="openai",
                rates=self._rates(usage),
                metadata=self.metadata,
            )

    # -------------------------------------------------------------- looking in

    def counts(self, now: Instant) -> dict[str, int | None]:
        """``request_counts``: they grow while it is in progress."""
        if self.columns is None:
            return {"total": 0, "completed": 0, "failed": 0}
        total = len(self.columns)
        if self.outcomes:
            done = self.outcomes.count(Outcome.SUCCEEDED)
            return {"total": total, "completed": done, "failed": total - done}
        if self.profile.counts_null:
            return {"total": total, "completed": None, "failed": None}
        if self.twist.stuck:
            return {"total": total, "completed": 0, "failed": 0}
        if self._done is None or self._failed is None:
            problems = self.columns.problems
            self._done = array("q", sorted(self.moment(i) for i in range(total) if i not in problems))
            self._failed = array("q", sorted(map(self.moment, problems)))
        at = min(now, self.times.get("cancelling_at", now))
        return {"total": total, "completed": bisect_right(self._done, at), "failed": bisect_right(self._failed, at)}

    def to_json(self, now: Instant) -> dict[str, Any]:
        """The batch object, fields in the order of recorded answers of 2026-08."""
        if self.profile.upper_case:
            return self._together(now)
        ended = next(
            (self.times[name] for name in ("completed_at", "expired_at", "cancelled_at") if name in self.times), now
        )
        shown = now >= ended + self.output_late
        prompt, cached, output, reasoning = self.used
        usage = {
            "input_tokens": prompt,
            "output_tokens": output,
            "total_tokens": prompt + output,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens_details": {"reasoning_tokens": reasoning},
        }
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": None if self.model is None else self.model.snapshot if self.name == self.model.id else self.name,
            "errors": {"object": "list", "data": [e.to_json() for e in self.errors]} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": self.window,
            "status": self.status.value,
            "output_file_id": self.output_file_id if shown else None,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at // SECOND,
            **{name: _seconds(self.times.get(name)) for name in TIMES},
            "expires_at": self.expires_at // SECOND if self.profile.batch_expires else None,
            "request_counts": self.counts(now),
            **({"usage": usage} if self.profile.details else {}),
            "metadata": self.metadata,
        }

    def _together(self, now: Instant) -> dict[str, Any]:
        """Together's words for the same batch."""
        words = {Status.FINALIZING: "IN_PROGRESS", Status.CANCELLING: "IN_PROGRESS"}
        counts = self.counts(now)
        total, done = counts["total"] or 0, (counts["completed"] or 0) + (counts["failed"] or 0)
        over = self.times.get("completed_at")
        return {
            "id": self.id,
            "user_id": "simulated",
            "input_file_id": self.input_file_id,
            "file_size_bytes": 0 if self.columns is None else self.columns.content.bytes,
            "status": words.get(self.status, self.status.value.upper()),
            "job_deadline": rfc3339(self.expires_at),
            "created_at": rfc3339(self.created_at),
            "endpoint": self.endpoint,
            "progress": 100.0 * done / total if total else 0.0,
            "model_id": self.name,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "error": "; ".join(error.message for error in self.errors) or None,
            "completed_at": None if over is None else rfc3339(over),
        }

    # -------------------------------------------------------------- result files

    def output_lines(self, ids: Ids, *, missing: int = 0, twice: int = 0) -> Iterator[bytes]:
        """Lines of the output file, shuffled by the seed; ``missing`` left out and ``twice`` repeated."""
        missing, twice = missing or self.twist.rows_missing, twice or self.twist.rows_twice
        chance = random.Random(f"{self.terms.seed} {self.id}")
        chosen = []
        if missing or twice:
            succeeded = list(self._succeeded())
            chosen = chance.sample(succeeded, min(len(succeeded), missing + twice))
        gone, doubled = frozenset(chosen[:missing]), frozenset(chosen[missing:])
        for index, raw in self._shuffled(chance):
            if self.outcomes[index] == Outcome.SUCCEEDED and index not in gone:
                line = self._line(index, self._answer(index, raw, ids), ids)
                yield line
                if index in doubled:
                    yield line

    def error_lines(self, ids: Ids) -> Iterator[bytes]:
        """Lines of the error file: requests that failed, and requests that were never executed."""
        columns = self.columns
        assert columns is not None
        for index, outcome in enumerate(self.outcomes):
            match Outcome(outcome):
                case Outcome.ERRORED:
                    status, body = columns.problems[index]
                    yield self._line(index, (status, body), ids)
                case Outcome.EXPIRED:
                    yield self._line(index, None, ids, {"code": "batch_expired", "message": EXPIRED})
                case Outcome.CANCELED:
                    yield self._line(index, None, ids, {"code": "batch_cancelled", "message": CANCELLED})
                case _:
                    continue

    def _line(
        self, index: int, answer: tuple[int, dict[str, Any]] | None, ids: Ids, error: dict[str, str] | None = None
    ) -> bytes:
        assert self.columns is not None
        name = f"{self.id} {index}"
        response = None
        if answer is not None:
            response = {"status_code": answer[0], "request_id": ids.uuid(name), "body": answer[1]}
        row = {
            "id": ids.hex("batch_req_", name),
            "custom_id": self.columns.custom_ids[index],
            "response": response,
            "error": error,
        }
        return encode(row) + b"\n"

    def _shuffled(self, chance: random.Random) -> Iterator[tuple[int, bytes]]:
        """Every request once: blocks in any order, requests in any order within a window of blocks."""
        columns = self.columns
        assert columns is not None
        spool = columns.content.spool
        indexes = {line: index for index, line in enumerate(columns.lines)}
        order = list(range(spool.blocks))
        chance.shuffle(order)
        for start in range(0, len(order), WINDOW_BLOCKS):
            window = [item for number in order[start : start + WINDOW_BLOCKS] for item in spool.read_block(number)]
            chance.shuffle(window)
            for line, raw in window:
                if line in indexes:
                    yield indexes[line], raw

    def _answer(self, index: int, raw: bytes, ids: Ids) -> tuple[int, dict[str, Any]]:
        """Write the answer again; it is the same as the one that was counted."""
        columns, model = self.columns, self.model
        assert columns is not None
        assert model is not None
        body = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))["body"]
        path = self.endpoint if self.endpoint.startswith("/v1") else "/v1" + self.endpoint
        digest = columns.digest(index)
        work = Work(
            endpoint=path,
            model=model,
            name=body["model"],
            digest=digest,
            prompt_tokens=columns.prompt[index],
            limit=limit_of(body, model),
            cuts=(),
            answers=answers_of(path, body, digest, model, self.terms.seed, self.terms.chances),
        )
        usage = columns.usage(index, model)
        name = f"{self.id} {index}"
        at = self.moment(index) // SECOND
        if path == CHAT:
            whole = chat.completion(ids.letters("chatcmpl-", name, 29), at, work, usage, tier="default")
            return 200, trimmed(whole, self.profile)
        base = responses.skeleton(ids.hex("resp_", name, 50), at, body, work, status="in_progress")
        return 200, responses.response(base, work, usage, ids, tier="default", completed=at)


def trimmed(whole: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """A completion as a server without details writes it."""
    if profile.details:
        return whole
    usage = {name: whole["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return {**{k: v for k, v in whole.items() if k not in ("service_tier", "system_fingerprint")}, "usage": usage}


def _scripted(problem: Problem) -> tuple[int, dict[str, Any]]:
    """A scripted failure as a line shows it."""
    own = problem.kind != SERVER_PROBLEM.kind
    message = (
        MESSAGES.get(problem.status, problem.message) if problem.message == SERVER_PROBLEM.message else problem.message
    )
    kind = problem.kind if own else TYPES.get(problem.status, "server_error")
    return problem.status, error_json(message, kind, None, CODES.get(problem.status))


def _seconds(instant: Instant | None) -> int | None:
    return None if instant is None else instant // SECOND
