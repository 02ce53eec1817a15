"""What every part of the front desk stands on: one store, one provider account, one clock, one catalog."""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
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
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.settings import Settings, credential, load_catalog
from lowtide.store import Store, runs, worker_name
from lowtide.store.plans import PlanRow
from lowtide.store.runs import RunRow
from lowtide.transport import HttpTransport, Transport
from lowtide.worker import Hands, Turn, Worker
from lowtide.workload import Workload, WorkloadOptions


class Desk:
    """Holds what an engine needs. Make an engine with ``Engine.start`` and close it with ``close``."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        transport: Transport,
        clock: Clock,
        catalog: Catalog,
        workloads: Mapping[str, Workload],
        environment: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.store = store
        self.transport = transport
        self.clock = clock
        self.catalog = catalog
        self.workloads = workloads
        self.codec: Codec = AnthropicCodec()
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
        transport = HttpTransport(settings.provider_url, loopback_only=bool(environment.get("LOWTIDE_ONLY_LOOPBACK")))
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
            transport=transport,
            clock=clock,
            catalog=catalog,
            workloads=workloads,
            environment=environment,
        )

    async def close(self) -> None:
        """Let go of everything."""
        await self.transport.close()
        if isinstance(self.clock, SimulatorClock):
            await self.clock.close()
        self.store.close()

    def hands(self) -> Hands:
        """Give a worker's hands. Raises: CredentialMissing."""
        return Hands(
            store=self.store,
            transport=self.transport,
            clock=self.clock,
            codec=self.codec,
            catalog=self.catalog,
            workloads=self.workloads,
            dispatch_rules=self.settings.dispatch_rules(),
            retry_rules=self.settings.retry_rules(),
            worker=self._worker_name,
            door=f"{self.codec.provider}:{self.settings.credential}",
            credential=credential(self.settings, self._environment),
            simulated=self.settings.simulated,
        )

    def worker(self, run_ids: Iterable[str] | None, on_turn: Callable[[Turn], None] | None = None) -> Worker:
        """Make a worker for some runs, or for every open one. Raises: CredentialMissing, NotFound."""
        focus = None if run_ids is None else frozenset(RunId(run_id) for run_id in run_ids)
        for run in map(self._run, focus or ()):
            if run.credential != self.settings.credential:
                raise CredentialMissing(
                    f"run {run.run_id} was begun with the key called {run.credential!r}, and this is another",
                    hint=f"LOWTIDE_CREDENTIAL={run.credential}, with LOWTIDE_API_KEY where that key is",
                )
        return Worker(hands=self.hands(), focus=focus, on_turn=on_turn)

    def _run(self, name: str) -> RunRow:
        with self.store.read() as tx:
            found = runs.find_run(tx, name)
        if found is None:
            raise NotFound(f"there is no run {name}", hint="lowtide status lists the runs")
        return found

    def _plan_row(
        self, plan_id: PlanId, source: Path, workload: str, options: WorkloadOptions, now: datetime
    ) -> PlanRow:
        return PlanRow(
            plan_id=plan_id,
            title=source.resolve().name,
            workload=workload,
            source=str(source.resolve()),
            source_digest="",
            model=options.model,
            provider=self.codec.provider,
            digest="",
            figures=b"",
            scope=b"",
            waves=1,
            created_at=now,
        )
