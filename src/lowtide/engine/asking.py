"""The provider's free token counter, asked while a plan is made: for the few prompts where a count decides something.

Which these are is ``estimate.worth_counting``'s judgement; here they are held back until all is read, counted, and given on.
The laws: at most ``CALLS_MAX`` calls a plan, only where the user asked for counts, and a counter that fails is a warning:
then our own judgement stands.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from lowtide.catalog import Catalog, Lane, Model
from lowtide.errors import CredentialMissing, PriceUnknown, TransportFailed
from lowtide.estimate import Reason, SumRange, counted_input, worth_counting
from lowtide.money import Nanos
from lowtide.providers import ApiError
from lowtide.spool import Scales, Weighed
from lowtide.worker.hands import Hands

CALLS_MAX = 100
AT_ONCE = 8
REGARDLESS = frozenset({Reason.THRESHOLD, Reason.UNSEEN})  # reasons that stand however many requests there are


@dataclass(slots=True, kw_only=True)
class Asking:
    """Holds back what may be worth a count; ``give`` takes whatever is decided, in the order in which it came.

    Only where there are so many that nothing but a price threshold or an unseen document is a reason, those with such a
    reason come last. The first of a kind never does: it is the one that is tried in real time. ``sums`` are floor, likely
    and ceiling of all so far; ``counted`` have a count, ``failed`` says why some that should have none.
    """

    catalog: Catalog
    scales: Scales
    give: Callable[[Weighed], None]
    cap: Nanos | None
    calls_max: int = CALLS_MAX
    requests: int = 0
    held: list[Weighed] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0, 0, 0])
    counted: list[Weighed] = field(default_factory=list)
    failed: str = ""
    calls: int = 0
    firsts: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def take(self, weighed: Weighed) -> None:
        """Hear of one request: hold it back, or give it on."""
        self.requests += 1
        cost = weighed.costs.cheapest
        self.sums = [one + other for one, other in zip(self.sums, (cost.floor, cost.likely, cost.ceiling), strict=True)]
        way = (weighed.request.kind, weighed.lot.provider, weighed.facts.model)
        self.firsts.setdefault(way, weighed.request.key)
        if self.requests <= self.calls_max:
            self.held.append(weighed)
            return
        if self.requests == self.calls_max + 1:
            waiting, self.held = self.held, []
            for each in waiting:
                self._hold_or_give(each)
        self._hold_or_give(weighed)

    def _hold_or_give(self, weighed: Weighed) -> None:
        first = weighed.request.key in self.firsts.values()
        if not first and len(self.held) < self.calls_max and self._reason(weighed) in REGARDLESS:
            self.held.append(weighed)
        else:
            self.give(weighed)

    async def count(self, hands_at: Callable[[str], Hands]) -> None:
        """Ask, and give on what was held back."""
        wanted = [each for each in self.held if self._reason(each) is not None]
        found: dict[str, int] = {}
        for start in range(0, len(wanted), AT_ONCE):
            if not self.failed:
                some = wanted[start : start + AT_ONCE]
                counts = await asyncio.gather(*(self._ask(each, hands_at) for each in some))
                found |= {
                    each.request.key: count for each, count in zip(some, counts, strict=True) if count is not None
                }
        for weighed in self.held:
            count = found.get(weighed.request.key)
            self.give(weighed if count is None else self._counted(weighed, count))

    def _reason(self, weighed: Weighed) -> Reason | None:
        model = self._model(weighed)
        floor, likely, ceiling = self.sums
        whole = SumRange(
            floor=floor, low=floor, likely=likely, high=ceiling, ceiling=ceiling, basis=weighed.tokens_out.basis
        )
        return worth_counting(
            weighed.tokens_in,
            requests=self.requests,
            thresholds=self._thresholds(weighed),
            window=model.largest_context_tokens,
            cap=self.cap,
            total=whole,
        )

    def _thresholds(self, weighed: Weighed) -> tuple[int, ...]:
        for lane in (Lane.BATCH, Lane.REALTIME):
            try:
                return self.catalog.sheet(weighed.lot.provider, weighed.facts.model, lane, self.scales.day).thresholds
            except PriceUnknown:
                continue
        return ()

    def _model(self, weighed: Weighed) -> Model:
        found = self.catalog.model(weighed.lot.provider, weighed.facts.model)
        assert found is not None, "what was weighed has a model"
        return found

    async def _ask(self, weighed: Weighed, hands_at: Callable[[str], Hands]) -> int | None:
        provider = weighed.lot.provider
        codec = self.scales.codecs[provider]
        parts = codec.count_call(weighed.params, weighed.lot.endpoint)
        if parts is None:
            return None
        self.calls += 1
        try:
            reply = await hands_at(provider).ask(parts)
        except (CredentialMissing, TransportFailed) as error:
            self.failed = self.failed or error.message
            return None
        found = codec.decode_count(status=reply.status, headers=reply.headers, body=reply.body)
        if isinstance(found, ApiError):
            self.failed = self.failed or f"{found.message} ({found.status} {found.code})"
            return None
        return found

    def _counted(self, weighed: Weighed, count: int) -> Weighed:
        """Weigh a request again by its count. What its bytes bound is a bound still, and may be the lower one."""
        said = counted_input(count, self._model(weighed))
        ceiling = min(said.ceiling, max(weighed.tokens_in.ceiling, said.likely))
        tokens_in = said._replace(ceiling=ceiling)
        codec = self.scales.codecs[weighed.lot.provider]
        costs = self.scales.costs(codec, weighed.facts, tokens_in, weighed.tokens_out)
        again = weighed._replace(tokens_in=tokens_in, costs=costs)
        self.counted.append(again)
        return again
