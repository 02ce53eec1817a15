"""The requests of a batch: what is kept of each, and how they are taken in.

Here: one number an item in columns, bodies in a spool, and the intake that checks, counts and answers them as they
arrive. Not here: what becomes of them (``batches``). Law: no object per item survives the intake.

Source: reference sheet of the provider's API, section 1.6, checked 2026-11-21.
"""

from array import array
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from lowtide_simulator.answers import Chances
from lowtide_simulator.caching import Cut, Served
from lowtide_simulator.messages import encode, is_billed, prompt_digest, work_of
from lowtide_simulator.models import Model
from lowtide_simulator.shapes import ShapeError
from lowtide_simulator.spool import Spool
from lowtide_simulator.usage import Usage
from lowtide_simulator.validation import Context, UnknownModelError, UnsupportedInBatchError

DIGEST_BYTES: Final = 32
DRAW: Final = 1 << 32


class Outcome(IntEnum):
    """What became of a request; one byte in the outcomes column."""

    PROCESSING = 0
    SUCCEEDED = 1
    ERRORED = 2
    CANCELED = 3
    EXPIRED = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an item errored: the provider's error type and message; ``status`` is for providers that give one a line."""

    kind: str
    message: str
    status: int = 500


SERVER_PROBLEM: Final = Problem("api_error", "Internal server error")


@dataclass(frozen=True, slots=True)
class Kind:
    """What items of a batch share and is priced by."""

    model: Model
    geo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What of the world an item's life depends on."""

    seed: int
    chances: Chances
    errored_share: float = 0.0
    expired_share: float = 0.0
    cancel_finish_share: float = 0.1
    cancel_seconds: float = 10.0


@dataclass(slots=True)
class Columns:
    """The items: bodies in a spool, everything else one number an item."""

    bodies: Spool = field(default_factory=Spool)
    custom_ids: list[str] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    kinds: list[Kind] = field(default_factory=list)
    kind: "array[int]" = field(default_factory=lambda: array("H"))
    prompt: "array[int]" = field(default_factory=lambda: array("I"))
    output: "array[int]" = field(default_factory=lambda: array("I"))
    thinking: "array[int]" = field(default_factory=lambda: array("I"))
    free: bytearray = field(default_factory=bytearray)
    problems: dict[int, Problem] = field(default_factory=dict)
    cuts: dict[int, tuple[Cut, ...]] = field(default_factory=dict)
    served: dict[int, Served] = field(default_factory=dict)
    outcomes: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.custom_ids)

    def digest(self, index: int) -> bytes:
        """SHA-256 of an item's canonical params."""
        return bytes(self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    def draw(self, index: int, number: int) -> float:
        """A fixed number in [0, 1) for each item and purpose, taken from its digest."""
        start = index * DIGEST_BYTES + 4 * number
        return int.from_bytes(self.digests[start : start + 4], "big") / DRAW

    def usage(self, index: int) -> Usage:
        """What a succeeded item used."""
        served = self.served.get(index, Served())
        prompt, kind = self.prompt[index], self.kinds[self.kind[index]]
        return Usage(
            input=prompt - served.read - served.write_5m - served.write_1h,
            write_5m=served.write_5m,
            write_1h=served.write_1h,
            read=served.read,
            output=self.output[index],
            thinking=self.thinking[index],
            geo=kind.geo,
        )


class ItemIntake:
    """Takes items as they arrive and does what the provider would do later: check, count, and answer them."""

    def __init__(self, context: Context, terms: Terms, *, refuse_unsupported: bool = False) -> None:
        self.columns = Columns()
        self._refuse_unsupported = refuse_unsupported
        self.context = context
        self._terms = terms
        self._kinds: dict[Kind, int] = {}
        self._shared_cuts: dict[Cut, Cut] = {}

    def take(self, custom_id: str, params: dict[str, Any]) -> None:
        """Add one item. A bad body is kept as a problem that shows in the results."""
        columns = self.columns
        index = len(columns)
        columns.bodies.append(encode(params))
        columns.custom_ids.append(custom_id)
        try:
            work = work_of(params, self.context, self._terms.seed, self._terms.chances)
        except ShapeError as error:
            if self._refuse_unsupported and isinstance(error, UnsupportedInBatchError):
                raise ShapeError(f"requests.{index}.params.{error.path}", error.message) from error
            self._problem(index, params, Problem("invalid_request_error", str(error)))
            return
        except UnknownModelError as error:
            self._problem(index, params, Problem("not_found_error", str(error)))
            return
        columns.digests += work.digest
        kind = Kind(work.model, work.geo)
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(columns.kinds)
            columns.kinds.append(kind)
        columns.kind.append(number)
        columns.prompt.append(work.prompt_tokens)
        columns.output.append(work.answer.output_tokens)
        columns.thinking.append(work.answer.thinking_tokens)
        columns.free.append(0 if is_billed(work.answer, self.context.now) else 1)
        if work.cuts:
            columns.cuts[index] = tuple(self._shared_cuts.setdefault(cut, cut) for cut in work.cuts)

    def _problem(self, index: int, params: dict[str, Any], problem: Problem) -> None:
        columns = self.columns
        columns.problems[index] = problem
        columns.digests += prompt_digest(params)
        for column in (columns.kind, columns.prompt, columns.output, columns.thinking):
            column.append(0)
        columns.free.append(1)
