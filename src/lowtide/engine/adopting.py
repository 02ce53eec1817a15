"""Batches that another program submitted: listed, taken over on request, never canceled unasked."""

import sys
from dataclasses import replace
from pathlib import Path

from lowtide.attempt import AttemptState
from lowtide.batch import FOUND, BatchView
from lowtide.dispatch import PlanId, Role, RunId
from lowtide.engine.desk import Desk
from lowtide.errors import CredentialMissing, LowtideError, NotFound, ProviderRefused, counted
from lowtide.ledger import AccountId, Reason
from lowtide.money import ZERO
from lowtide.packing import ShardId, pack_members, unpack_members
from lowtide.providers import ApiError
from lowtide.reports import UnknownBatch
from lowtide.store import books, plans, runs, shards
from lowtide.store.plans import Lot
from lowtide.worker.reading import listing
from lowtide.workload import WorkloadOptions


class Adopting(Desk):
    """Finds and takes over batches that this store does not know."""

    def without_key(self) -> list[str]:
        """Name the providers whose batches cannot be listed for want of a key."""
        return [provider for provider in self._with_batches() if not self._has_key(provider)]

    async def unknown_batches(self, provider: str = "") -> list[UnknownBatch]:
        """List batches that this store knows nothing of; they are never canceled unasked.

        Those of one provider, or of every one that there is a key for. Raises: CredentialMissing, ProviderRefused.
        """
        sellers = [name for name in self._with_batches() if provider in ("", name)]
        asked = [name for name in sellers if self._has_key(name)] or sellers[-1:]  # without any key it is told which
        found: list[UnknownBatch] = []
        for name in asked:
            async for page in listing(self.hands(name), pages_max=sys.maxsize):
                if isinstance(page, ApiError):
                    raise _refused(name, page)
                ids = [view.provider_batch_id for view in page.batches]
                with self.store.read() as tx:
                    known = shards.known_provider_ids(tx, name, ids)
                found.extend(_unknown(name, view) for view in page.batches if view.provider_batch_id not in known)
        return found

    def _with_batches(self) -> list[str]:
        return [name for name, codec in self.codecs.items() if codec.batch_limits is not None]

    def _has_key(self, provider: str) -> bool:
        try:
            self.hands(provider)
        except CredentialMissing:
            return False
        return True

    async def adopt(self, provider_batch_id: str, provider: str = "") -> RunId:
        """Take over a batch that another program submitted: a run of its own, collected and booked by a worker.

        ``provider`` is who made it, by the looks of the id without one. Raises: NotFound, ProviderRefused.
        """
        provider = provider or ("anthropic" if provider_batch_id.startswith("msgbatch_") else "openai")
        if provider not in self.codecs:
            raise NotFound(f"no provider is called {provider!r}", hint=f"there are {', '.join(self.codecs)}")
        hands, codec = self.hands(provider), self.codecs[provider]
        reply = await hands.ask(codec.retrieve_call(provider_batch_id))
        view = codec.decode_batch(status=reply.status, headers=reply.headers, body=reply.body)
        if isinstance(view, ApiError):
            if view.status == 404:
                raise NotFound(f"{provider} knows no batch {provider_batch_id}", hint="lowtide adopt lists them")
            raise _refused(provider, view)
        if view.archived:
            raise LowtideError(
                f"the results of {provider_batch_id} are gone: the provider has archived it", hint="nothing can be read"
            )
        now = await self.clock.now()
        suffix = self.clock.new_id(7)
        plan_id, run_id = PlanId(f"p_{suffix}"), RunId(f"r_{suffix}")
        shard_id = ShardId(f"lt{self.clock.new_id(14)}")
        members = pack_members(range(view.counts.total))
        account_id = AccountId(f"run:{run_id}")
        with self.store.write() as tx:
            if shards.known_provider_ids(tx, provider, [provider_batch_id]):
                raise LowtideError(
                    f"{provider_batch_id} is in this store already", hint="lowtide status lists the runs"
                )
            row = replace(
                self._plan_row(
                    plan_id, Path(provider_batch_id), "adopted", WorkloadOptions(model="unknown"), now, provider
                ),
                title=f"adopted {provider_batch_id}",
                source=provider_batch_id,
            )
            plans.insert_plan(tx, row, sealed=True)
            plans.insert_wave(tx, plan_id, 0, first_seq=0, last_seq=view.counts.total - 1)
            books.open_account(tx, account_id, None)
            books.open_account(tx, hands.payee, None)
            runs.insert_run(
                tx, run_id=run_id, plan_id=plan_id, out="", credential=self.settings.credential, created_at=now
            )
            lot = Lot(provider=provider, model="", endpoint=codec.neutral_endpoint)
            plans.add_lots(tx, plan_id, {lot: 0}, packed_seq=view.counts.total)
            hold_id = books.reserve(
                tx, payer=account_id, payee=hands.payee, amount=ZERO, reason=Reason.ADOPTED, shard_id=shard_id, at=now
            )
            assert hold_id is not None
            shard = shards.ShardRow(
                shard_id=shard_id,
                run_id=run_id,
                plan_id=plan_id,
                wave=0,
                provider=provider,
                lot=0,
                route="batch",
                kind="adopted",
                members=unpack_members(members),
                requests=view.counts.total,
                bytes=0,
                hold_id=hold_id,
                state=AttemptState.OUT,
            )
            shards.insert_shard(tx, shard, members=members, created_at=now, state=AttemptState.OUT)
            shards.insert_batch(
                tx,
                shard_id=shard_id,
                provider=provider,
                total=view.counts.total,
                role=Role.ADOPTED,
                state=FOUND[view.event],
                values={
                    "provider_batch_id": provider_batch_id,
                    "verified": True,
                    "submitting_at": now,
                    "accepted_at": now,
                    **shards.view_values(view),
                },
            )
            runs.note(tx, run_id, now, f"adopted {provider_batch_id}: {counted(view.counts.total, 'request')}")
        return run_id


def _unknown(provider: str, view: BatchView) -> UnknownBatch:
    return UnknownBatch(
        provider=provider,
        provider_batch_id=view.provider_batch_id,
        state=FOUND[view.event],
        requests=view.counts.total,
        created_at=view.created_at,
        ended_at=view.ended_at,
    )


def _refused(provider: str, error: ApiError) -> ProviderRefused:
    return ProviderRefused(f"{provider} refuses: {error.message} ({error.status} {error.code})")
