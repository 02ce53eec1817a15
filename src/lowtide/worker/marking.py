"""Under which terms a wave's shared beginnings are judged: prices of the day, hits seen in this store, usual turnarounds.

The judgement is ``caching``'s and the marking ``spool``'s. The law: where a lane or a price is not known nothing is marked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lowtide.caching import CachingLine, HitRate, Rates, Tally, Terms, expected_hits, prior, rates_of, style_of
from lowtide.catalog import Catalog, Lane, Model
from lowtide.errors import PriceUnknown
from lowtide.plan import Plan
from lowtide.providers import Codec
from lowtide.routing import Route
from lowtide.store import Store, history
from lowtide.worker.lanes import usual_turnarounds

REALTIME_SPREAD = timedelta(minutes=10)  # that real-time requests of one prefix are taken to need, from first to last


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveTerms:
    """Where a wave is bought. ``rounds_max``: how often there is time to wait for a first batch.

    ``delay`` is what may pass between the end of a first batch and the next. ``promised`` are the lines of the plan, for a
    later wave: what is written then may be no dearer than the plan said.
    """

    store: Store
    catalog: Catalog
    codecs: Mapping[str, Codec]
    lane: Lane
    day: date
    now: datetime
    rounds_max: int
    delay: timedelta
    in_flight: int = 1
    promised: tuple[CachingLine, ...] | None = None

    def of(self, provider: str, model: Model, tally: Tally) -> Terms | None:
        """Give the terms for one model, ``None`` where nothing can be judged."""
        if self.lane is Lane.BATCH and (self.codecs[provider].batch_limits is None or not model.batch):
            return None
        try:
            sheet = self.catalog.sheet(provider, model.name, self.lane, self.day)
        except PriceUnknown:
            return None
        rates = self._as_promised(provider, model.name, rates_of(sheet, prompt_tokens=tally.longest))
        if rates is None:
            return None
        spread = REALTIME_SPREAD
        if self.lane is Lane.BATCH:
            with self.store.read() as tx:
                spread = usual_turnarounds(tx, [(provider, model.name)], tally.requests, self.now)[
                    Route.BATCH
                ].nine_in_ten
        return Terms(
            lane=self.lane,
            style=style_of(provider, rates),
            rates=rates,
            minimum_tokens=model.cache_minimum_tokens,
            cold=self._hits(provider, warmed=False),
            warmed=self._hits(provider, warmed=True),
            rounds_max=self.rounds_max if self.lane is Lane.BATCH else 0,
            spread=spread,
            delay=self.delay,
            in_flight=self.in_flight,
        )

    def _hits(self, provider: str, *, warmed: bool) -> HitRate:
        with self.store.read() as tx:
            seen = history.hits_seen(tx, provider, self.lane, warmed=warmed)
        return expected_hits(seen, prior(provider, self.lane, warmed=warmed))

    def _as_promised(self, provider: str, model: str, rates: Rates) -> Rates | None:
        if self.promised is None:
            return rates
        line = next((each for each in self.promised if (each.provider, each.model) == (provider, model)), None)
        most = None if line is None else rates.writes.get(line.lifetime)
        if most is None:
            return None
        return Rates(
            plain=rates.plain,
            read=rates.read,
            writes={name: price for name, price in rates.writes.items() if price <= most},
        )


def later_terms(
    plan: Plan,
    route: Route,
    *,
    store: Store,
    catalog: Catalog,
    codecs: Mapping[str, Codec],
    now: datetime,
    delay: timedelta,
    in_flight: int,
) -> Callable[[str, Model, Tally], Terms | None] | None:
    """Give the terms of a later wave, ``None`` where the plan marked nothing, or for another lane."""
    promised = tuple(line for line in plan.caching if line.lifetime and line.lane == route.value)
    if not promised:
        return None
    return WaveTerms(
        store=store,
        catalog=catalog,
        codecs=codecs,
        lane=Lane(route.value),
        day=now.date(),
        now=now,
        rounds_max=max(line.rounds for line in promised),
        delay=delay,
        in_flight=in_flight,
        promised=promised,
    ).of
