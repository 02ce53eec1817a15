"""Requests into the store: each body encoded once, weighed, priced, and written to a segment; one narrow row each.

The same road for the first wave, at plan time, and for every later one. A wave counts only when it is sealed: one that
was broken off is dropped and made again. Memory is flat: a block of rows at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import NamedTuple, Protocol

from lowtide import points
from lowtide.caching import Mark, Marking, Marks, Tally, Terms, judge
from lowtide.catalog import Catalog, Lane, Model, TokenizerFamily
from lowtide.errors import PriceUnknown, Problem
from lowtide.estimate import Counter, Sight, TokenRange, estimate_input, estimate_output, text_tokens
from lowtide.plan import NOTHING_LEARNED, Cost, Costs, Learned
from lowtide.providers import BodyFacts, Codec
from lowtide.request import KEY_LENGTH_MAX, Endpoint, Native, Neutral, Request, RequestKey
from lowtide.store import Store, Transaction, plans
from lowtide.store.plans import Lot, NewRequest
from lowtide.store.segments import SegmentWriter

BLOCK = 1000
BLOCK_BYTES_MAX = 8 << 20  # of bodies; a block of large ones is written early, so that memory stays flat
PROBLEMS_MAX = 1000


class Weighed(NamedTuple):
    """A request with its body as bytes, its tokens (and how its text was seen) and its costs. A tuple: one is made each."""

    request: Request
    lot: Lot
    params: bytes
    facts: BodyFacts
    tokens_in: TokenRange
    tokens_out: TokenRange
    costs: Costs
    sight: Sight = Sight.LETTERS


class Scales:
    """Weighs and prices bodies by the prices of one day. Pure but for what it remembers.

    ``learned`` are earlier answers by (kind, model); ``counter`` counts texts exactly, for the families that it knows.
    ``marks`` says where neutral bodies have breakpoints, and which requests go out before the rest. ``asked`` is the
    provider that is asked for everything, whoever else sells it; empty for none.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        catalog: Catalog,
        day: date,
        learned: Learned = NOTHING_LEARNED,
        counter: Counter | None = None,
        asked: str = "",
    ) -> None:
        self.codecs = codecs
        self.asked = asked
        self.catalog = catalog
        self.day = day
        self.marks = Marks()
        self._apart: Mapping[str, bytes] = {}
        self.learned = learned
        self._counter = counter
        self._sights: dict[TokenizerFamily, Sight] = {}
        self._models: dict[tuple[str, str], Model | None] = {}
        self._sellers: dict[str, str] = {}
        self._lots: dict[tuple[str, str, Endpoint, int], Lot] = {}

    def weigh(self, request: Request) -> Weighed | tuple[Problem, ...]:
        """Encode, weigh and price one request, or say all that is wrong with it."""
        where = request.source or request.key
        if len(request.key) > KEY_LENGTH_MAX:
            return (
                Problem(where=where, what=f"the key is longer than {KEY_LENGTH_MAX} characters", hint="shorten it"),
            )
        if "\0" in request.key:  # PostgreSQL cannot keep it, and a plan is the same whatever keeps it
            return (Problem(where=where, what="the key has a NUL character", hint="remove it"),)
        provider = self.provider_of(request)
        codec = self.codecs.get(provider)
        if codec is None:
            known = f"there are {', '.join(sorted(self.codecs))}"
            return (Problem(where=where, what=f"no provider is called {provider!r}", hint=known),)
        mark = None
        if isinstance(request.body, Native):
            params, endpoint = request.body.params, request.body.endpoint
        else:
            mark = self.marks.of(request.body, kind=request.kind, provider=provider, model=request.model)
            if mark.places and self._apart.get(request.key) == codec.encode(model=request.model, body=request.body):
                mark = Mark(alone=True)
            params = codec.encode(model=request.model, body=request.body, cache=mark.lifetime, cache_at=mark.places)
            endpoint = codec.neutral_endpoint
        facts = codec.read_body(params, endpoint)
        if isinstance(facts, tuple):
            return tuple(Problem(where=where, what=what) for what in facts)
        model = self._model(provider, facts.model)
        if model is None:
            return (_unknown_model(where, provider, facts.model),)
        if facts.max_output_tokens > (model.batch_output_tokens_max or model.output_tokens_max):
            limit = model.batch_output_tokens_max or model.output_tokens_max
            what = (
                f"{facts.max_output_tokens} output tokens are asked for, over the {limit} that {facts.model} can write"
            )
            return (Problem(where=where, what=what, hint="lower the limit of its answer"),)
        tokens_in = estimate_input(facts, model, text=facts.text, counter=self._counter)
        if tokens_in.floor > model.largest_context_tokens:
            what = f"about {tokens_in.likely} tokens do not fit the {model.largest_context_tokens} of {facts.model}"
            return (Problem(where=where, what=what, hint="divide the request or take a model with a larger context"),)
        tokens_out = estimate_output(facts.max_output_tokens, self.learned.get((request.kind, facts.model)))
        try:
            costs = self.costs(codec, facts, tokens_in, tokens_out, written_max=_written_max(request, facts, mark))
        except PriceUnknown as error:
            return (Problem(where=where, what=error.message, hint=error.hint),)
        one_model = codec.batch_limits is None or codec.batch_limits.one_model
        turn = self.marks.turn(mark, kind=request.kind, provider=provider, model=request.model)
        return Weighed(
            request=request,
            lot=self._lot(provider, facts.model if one_model else "", endpoint, turn),
            params=params,
            facts=facts,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            costs=costs,
            sight=self.sight(model.tokenizer),
        )

    def mark(
        self,
        requests: Iterable[Request | Problem],
        terms_of: Callable[[str, Model, Tally], Terms | None],
        *,
        tested: Iterable[tuple[str, str, str]] = (),
        apart: Mapping[str, bytes] | None = None,
    ) -> None:
        """Count what a wave shares and judge it, so that its bodies are marked when they are weighed; nothing is kept of it.

        ``tested`` are the (kind, provider, model) of which one request was bought before, ``apart`` are bodies
        that were bought by key: what was bought unmarked stays so, and none of them is counted.
        """
        marking = Marking(count_of=self._guess)
        for request in requests:
            if isinstance(request, Problem) or (apart and request.key in apart):
                continue
            provider = self.provider_of(request)
            body = request.body if isinstance(request.body, Neutral) and self._model(provider, request.model) else None
            if not marking.add(body, provider=provider, model=request.model):
                break

        def terms(way: tuple[str, str], tally: Tally) -> Terms | None:
            model = self._model(*way)
            return None if model is None else terms_of(way[0], model, tally)

        self.marks = marking.judge(terms, judge, tested=set(tested))
        self._apart = apart or {}

    def _guess(self, provider: str, model: str) -> Callable[[str], int]:
        """Give how the tokens of a model's texts are guessed."""
        found = self._model(provider, model)
        assert found is not None, "only models that are known are counted"
        return partial(text_tokens, tokenizer=found.tokenizer)

    def sight(self, tokenizer: TokenizerFamily) -> Sight:
        """Say how texts of a family are seen: counted by its vocabulary where there is one, else by their letters."""
        found = self._sights.get(tokenizer)
        if found is None:
            known = self._counter is not None and self._counter("?", tokenizer) is not None
            found = self._sights[tokenizer] = Sight.VOCABULARY if known else Sight.LETTERS
        return found

    def provider_of(self, request: Request) -> str:
        """Name the provider that is asked for a request."""
        return self.asked or request.provider or self.seller(request.model)

    def seller(self, model: str) -> str:
        """Name the provider that is asked for a model: the first by whom it is sold, else the first of all."""
        if self.asked:
            return self.asked
        found = self._sellers.get(model)
        if found is None:
            sellers = [name for name in self.codecs if self._model(name, model) is not None]
            found = self._sellers[model] = sellers[0] if sellers else next(iter(self.codecs))
        return found

    def costs(
        self,
        codec: Codec,
        facts: BodyFacts,
        tokens_in: TokenRange,
        tokens_out: TokenRange,
        *,
        written_max: int | None = None,
    ) -> Costs:
        """Price one request on every lane it may be bought on. Raises: PriceUnknown.

        ``written_max`` is how many of its tokens may be written into a cache, ``None`` for any.
        """
        batch = None
        if codec.batch_limits is not None and self._model(codec.provider, facts.model).batch:  # type: ignore[union-attr]
            batch = self._cost(codec.provider, facts, Lane.BATCH, tokens_in, tokens_out, written_max)
        realtime = self._cost(codec.provider, facts, facts.lane, tokens_in, tokens_out, written_max)
        if facts.dearest_lane is not facts.lane:
            try:
                most = self._cost(codec.provider, facts, facts.dearest_lane, tokens_in, tokens_out, written_max)
            except PriceUnknown:  # a lane that is not sold for this model: nobody is served on it
                most = realtime
            if most.ceiling > realtime.ceiling:
                realtime = realtime._replace(ceiling=most.ceiling, output_ceiling=most.output_ceiling)
        windows: dict[Lane, Cost] = {}
        if facts.windows:
            for lane in codec.windows:
                try:
                    windows[lane] = self._cost(codec.provider, facts, lane, tokens_in, tokens_out, written_max)
                except PriceUnknown:
                    continue  # not sold for this model
        return Costs(realtime=realtime, batch=batch, windows=windows)

    def _cost(
        self,
        provider: str,
        facts: BodyFacts,
        lane: Lane,
        tokens_in: TokenRange,
        tokens_out: TokenRange,
        written_max: int | None,
    ) -> Cost:
        sheet = self.catalog.sheet(provider, facts.model, lane, self.day)
        write, us_only, extra = facts.dearest_write, facts.us_only, 0
        if write and written_max is not None and not sheet.thresholds:
            # What stands after the last breakpoint is never written: only the rest may cost more than plain input.
            most = min(written_max, tokens_in.ceiling)
            dear, plain = (sheet.ceiling_nanos(most, 0, dearest_write=each, us_only=us_only) for each in (write, ""))
            write, extra = "", max(0, dear - plain) + 1
        cost = Cost(*sheet.quote(tokens_in, tokens_out, dearest_write=write, us_only=us_only))
        return cost._replace(ceiling=cost.ceiling + extra) if extra else cost

    def _lot(self, provider: str, model: str, endpoint: Endpoint, turn: int) -> Lot:
        """Give the one object of a lot: there are few, and a thousand requests are held at a time."""
        key = (provider, model, endpoint, turn)
        found = self._lots.get(key)
        if found is None:
            found = self._lots[key] = Lot(provider=provider, model=model, endpoint=endpoint, turn=turn)
        return found

    def _model(self, provider: str, name: str) -> Model | None:
        key = (provider, name)
        if key not in self._models:
            self._models[key] = self.catalog.model(provider, name)
        return self._models[key]


def _written_max(request: Request, facts: BodyFacts, mark: Mark | None) -> int | None:
    """Bound what a body of ours may write into a cache: a token has a byte, and none comes after the last breakpoint."""
    if mark is None or not mark.places or not isinstance(request.body, Neutral):
        return None
    texts = [text for text in (request.body.system, *request.body.shared) if text]
    after = (*texts[mark.places[-1] + 1 :], request.body.text)
    return facts.content_bytes - sum(len(text.encode()) for text in after)


class Listener(Protocol):
    """Hears of every request that was weighed and taken."""

    def __call__(self, weighed: Weighed) -> None:
        """Take note of one, whose row is written."""
        ...


@dataclass(slots=True, kw_only=True)
class Spooled:
    """What became of a wave: its last sequence number, its kinds in order, and every problem (the first thousand)."""

    first_seq: int
    next_seq: int
    kinds: dict[tuple[str, str, str], None] = field(default_factory=dict)
    lots: dict[Lot, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    problems_count: int = 0

    def problem(self, problem: Problem) -> None:
        """Note a problem."""
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


def spool(
    store: Store,
    scales: Scales,
    requests: Iterable[Request | Problem],
    *,
    plan_id: str,
    wave: int,
    first_seq: int,
    writer: str,
    now: datetime,
    gaps: "GapsOf | None" = None,
    listener: Listener | None = None,
    lots: Mapping[Lot, int] | None = None,
) -> Spooled:
    """Write a wave's bodies and rows. The caller seals it (or drops the plan when there are problems).

    ``lots`` are those of earlier waves.

    With a problem nothing more is written, but everything is still read, so that all problems are known.
    """
    made = Spooled(first_seq=first_seq, next_seq=first_seq, lots=dict(lots or {}))
    segment: SegmentWriter | None = None
    block: list[Weighed] = []
    rows: list[NewRequest] = []
    block_bytes = 0
    try:
        for weighed in _weighed(scales, requests, made):
            request, cheapest = weighed.request, weighed.costs.cheapest
            if segment is None:
                segment = store.new_segment("bodies", writer, now)
            row = NewRequest(
                seq=made.next_seq,
                wave=wave,
                key=request.key,
                kind=request.kind,
                model=weighed.facts.model,
                body_at=segment.append(weighed.params),
                body_bytes=len(weighed.params),
                lot=made.lots.setdefault(weighed.lot, len(made.lots)),
                input_tokens=weighed.tokens_in.likely,
                output_tokens=weighed.tokens_out.ceiling,
                likely=cheapest.likely,
                ceiling=cheapest.ceiling,
                realtime=weighed.costs.dearest_ceiling,
                gaps="" if gaps is None else "\n".join(gaps(request)),
            )
            block.append(weighed)
            rows.append(row)
            block_bytes += row.body_bytes
            made.next_seq += 1
            if len(block) == BLOCK or block_bytes >= BLOCK_BYTES_MAX:
                _write_block(store, plan_id, segment, block, rows, made, listener)
                block, rows, block_bytes = [], [], 0
                if segment.full:  # only between blocks: until its rows are there, a sealed segment may be swept
                    store.seal_segment(segment)
                    segment = None
        if segment is not None and block:
            _write_block(store, plan_id, segment, block, rows, made, listener)
    finally:
        if segment is not None:
            store.seal_segment(segment)
    points.reached("wave.before_seal")
    return made


class GapsOf(Protocol):
    """Names the keys that a request quotes and that have no text."""

    def __call__(self, request: Request) -> Iterable[RequestKey]:
        """Name them."""
        ...


def seal(tx: Transaction, plan_id: str, wave: int, made: Spooled) -> None:
    """Say that a wave is whole."""
    plans.insert_wave(tx, plan_id, wave, first_seq=made.first_seq, last_seq=made.next_seq - 1)
    plans.add_kinds(tx, plan_id, list(made.kinds))
    plans.add_lots(tx, plan_id, made.lots, packed_seq=made.first_seq - 1)


def _weighed(scales: Scales, requests: Iterable[Request | Problem], made: Spooled) -> Iterator[Weighed]:
    for request in requests:
        if isinstance(request, Problem):
            made.problem(request)
            continue
        weighed = scales.weigh(request)
        if isinstance(weighed, Weighed):
            yield weighed
            continue
        for problem in weighed:
            made.problem(problem)


def _write_block(
    store: Store,
    plan_id: str,
    segment: SegmentWriter,
    block: list[Weighed],
    rows: list[NewRequest],
    made: Spooled,
    listener: Listener | None,
) -> None:
    """Write a block's rows; a key that was used before is a problem, and is neither planned nor counted."""
    segment.sync()  # promise 2: the bytes are durable before a row points at them
    with store.write() as tx:
        repeated = {row.seq for row in plans.insert_requests(store, tx, plan_id, rows)}
    for weighed, row in zip(block, rows, strict=True):
        if row.seq in repeated:
            what = f"the key {row.key!r} was used before"
            made.problem(Problem(where=weighed.request.source or row.key, what=what, hint="keys must be unique"))
            continue
        made.kinds[row.kind, weighed.lot.provider, row.model] = None
        if listener is not None:
            listener(weighed)


def _unknown_model(where: str, provider: str, model: str) -> Problem:
    return Problem(
        where=where,
        what=f"no model {model!r} of {provider} is known, so its price is unknown",
        hint="lowtide prices lists the models; add your own model and price in a price file",
    )
