"""What every part of the front desk stands on: one store, one provider account, one clock, one catalog."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Self

from lowtide import points
from lowtide.catalog import Catalog
from lowtide.clock import Clock, SimulatorClock, SystemClock
from lowtide.dispatch import PlanId, RunId
from lowtide.errors import (
    CredentialMissing,
    NotFound,
)
from lowtide.providers import Codec
from lowtide.providers.registry import codec_for
from lowtide.routing import Choice, Route
from lowtide.settings import Settings, credential, load_catalog
from lowtide.store import Store, runs, worker_name
from lowtide.store.plans import PlanRow
from lowtide.store.runs import RunRow
from lowtide.transport import HttpTransport, Transport
from lowtide.worker import Hands, Turn, Worker
from lowtide.workload import Workload, WorkloadOptions

SPARE_CONNECTIONS = 16  # for batches, beside the real-time calls


def codecs_of(settings: Settings, catalog: Catalog) -> dict[str, Codec]:
    """Make the codec of every provider in the settings, by name."""
    return {
        each.name: codec_for(
            each.name,
            protocol=each.protocol,
            profile=each.profile,
            base_url=each.base_url,
            output_limit=partial(_output_limit, catalog, each.name),
        )
        for each in settings.providers
    }


def _output_limit(catalog: Catalog, provider: str, model: str) -> int | None:
    found = catalog.model(provider, model)
    return None if found is None else found.output_tokens_max


class Desk:
    """Holds what an engine needs. Make an engine with ``Engine.start`` and close it with ``close``."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        transports: dict[str, Transport],
        clock: Clock,
        catalog: Catalog,
        workloads: Mapping[str, Workload],
        environment: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.store = store
        self.transports = transports
        self.clock = clock
        self.catalog = catalog
        self.workloads = workloads
        self.codecs: dict[str, Codec] = codecs_of(settings, catalog)
        self.doors: dict[str, Hands] = {}
        self._environment = environment
        self._worker_name = worker_name(clock.new_id(5))

    @classmethod
    def start(cls, settings: Settings, workloads: Mapping[str, Workload], environment: Mapping[str, str]) -> Self:
        """Open the store and the door. Nothing is called yet.

        Raises: StoreUnusable, SettingsInvalid, InputRefused for price files.
        """
        points.arm_from_environment(environment)
        catalog = load_catalog(settings)
        store = Store(settings.store_folder, url=settings.database).open()
        store.set_money(simulated=settings.simulated)
        clock: Clock
        if settings.simulated:
            name = SystemClock().new_id(8)
            clock = SimulatorClock(
                HttpTransport(settings.simulator, loopback_only=True), f"lowtide-{os.getpid()}-{name}"
            )
        else:
            clock = SystemClock()
        return cls(
            settings=settings,
            store=store,
            transports={},
            clock=clock,
            catalog=catalog,
            workloads=workloads,
            environment=environment,
        )

    async def close(self) -> None:
        """Let go of everything."""
        for transport in self.transports.values():
            await transport.close()
        if isinstance(self.clock, SimulatorClock):
            await self.clock.close()
        self.store.close()

    def hands(self, provider: str) -> Hands:
        """Give a worker's hands at one provider. Raises: CredentialMissing."""
        if provider not in self.doors:
            chosen = next(each for each in self.settings.providers if each.name == provider)
            self.doors[provider] = Hands(
                store=self.store,
                transport=self._transport(provider),
                clock=self.clock,
                codec=self.codecs[provider],
                codecs=self.codecs,
                catalog=self.catalog,
                workloads=self.workloads,
                dispatch_rules=self.settings.dispatch_rules(),
                retry_rules=self.settings.retry_rules(),
                route_rules=self.settings.route_rules(),
                worker=self._worker_name,
                door=f"{provider}:{self.settings.credential}",
                credential=credential(self.settings, chosen, self._environment),
                simulated=self.settings.simulated,
                pacing=partial(self.settings.pacing_rules, self.catalog),
                in_flight_max=self.settings.in_flight_max,
                pool_of=partial(self.catalog.pool, provider),
            )
        return self.doors[provider]

    def _transport(self, provider: str) -> Transport:
        """Give the door to a provider, made when it is first wanted. Raises: TransportFailed."""
        if provider not in self.transports:
            self.transports[provider] = HttpTransport(
                self.settings.simulator or self.codecs[provider].base_url,
                loopback_only=bool(self._environment.get("LOWTIDE_ONLY_LOOPBACK")),
                connections_max=self.settings.in_flight_max + SPARE_CONNECTIONS,
            )
        return self.transports[provider]

    def limits_known(self, provider: str, model: str, day: date) -> bool:
        """Say whether the settings or the catalog know a limit of real time for a model."""
        return bool(self.settings.pacing_rules(self.catalog, provider, model, day).limits)

    def limits_to_learn(self, models: Iterable[tuple[str, str]], choice: Choice, day: date) -> Iterator[str]:
        """Say of which models (provider, name) no limit of real time is known, where a plan goes or may move there.

        A simulator's limits are its own, and nobody's catalog knows them.
        """
        if self.settings.simulated or (choice.route is not Route.REALTIME and choice.hasten_at is None):
            return
        unknown: dict[str, list[str]] = {}
        for provider, model in models:
            if not self.limits_known(provider, model, day):
                unknown.setdefault(provider, []).append(model)
        for provider, names in unknown.items():
            yield (
                f"what {provider} lets through in a minute is not known for {', '.join(names)}: it is learned from the first"
                " replies, and the time that real time takes is a guess"
            )

    def worker(self, run_ids: Iterable[str] | None, on_turn: Callable[[Turn], None] | None = None) -> Worker:
        """Make a worker for some runs, or for every open one that our keys reach. Raises: CredentialMissing, NotFound."""
        focus = None if run_ids is None else frozenset(RunId(run_id) for run_id in run_ids)
        if focus is None:
            with self.store.read() as tx:
                wanted = runs.open_runs(tx)
        else:
            wanted = [self._run(run_id) for run_id in focus]
        doors: dict[str, Hands] = {}
        missing: CredentialMissing | None = None
        for run in wanted:
            if focus is not None and run.credential != self.settings.credential:
                raise CredentialMissing(
                    f"run {run.run_id} was begun with the key called {run.credential!r}, and this is another",
                    hint=f"LOWTIDE_CREDENTIAL={run.credential}, with LOWTIDE_API_KEY where that key is",
                )
            for provider in run.provider.split():
                if provider not in self.codecs:
                    raise NotFound(
                        f"run {run.run_id} asks {provider}, which is in no settings file here",
                        hint=f"add [providers.{provider}] to lowtide.toml",
                    )
                try:
                    doors[provider] = self.hands(provider)
                except CredentialMissing as error:
                    if focus is not None:
                        raise
                    missing = error
        if not doors:
            if missing is not None:
                raise missing
            doors["anthropic"] = self.hands("anthropic")
        return Worker(doors=doors, focus=focus, on_turn=on_turn)

    def _run(self, name: str) -> RunRow:
        with self.store.read() as tx:
            found = runs.find_run(tx, name)
        if found is None:
            raise NotFound(f"there is no run {name}", hint="lowtide status lists the runs")
        return found

    def _plan_row(
        self, plan_id: PlanId, source: Path, workload: str, options: WorkloadOptions, now: datetime, provider: str = ""
    ) -> PlanRow:
        return PlanRow(
            plan_id=plan_id,
            title=source.resolve().name,
            workload=workload,
            source=str(source.resolve()),
            source_digest="",
            model=options.model,
            provider=provider,
            digest="",
            figures=b"",
            scope=b"",
            waves=1,
            created_at=now,
        )
