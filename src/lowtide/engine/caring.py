"""The care of a store: the doctor looks, a backup copies, prune forgets what is long over."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from lowtide.engine.desk import Desk
from lowtide.errors import CredentialMissing, LowtideError
from lowtide.providers import Codec
from lowtide.reports import Check
from lowtide.store import books, prunes


class Caring(Desk):
    """Looks after key, clock, disk, prices, books and store."""

    async def doctor(self) -> list[Check]:
        """Look at every provider's key, limits and clock, at disk, prices, books and store. Nothing is spent."""
        now = await self.clock.now()
        checks: list[Check] = []
        for provider in self.codecs:
            checks.extend(await self._check_provider(provider, now))
            checks.append(self._check_tier(provider, now.date()))
        if all(check.state != "ok" for check in checks if check.name.endswith(" key")):
            # Without any key nothing can be bought; a provider that nobody uses needs none.
            checks = [replace(check, state="bad") if check.name.endswith(" key") else check for check in checks]
        return [*checks, self._check_disk(), *self._check_books(), self._check_prices(now.date())]

    async def _check_provider(self, provider: str, now: datetime) -> list[Check]:
        codec = self.codecs[provider]
        try:
            hands = self.hands(provider)
        except CredentialMissing as error:
            return [Check(name=f"{provider} key", state="warning", finding=error.message, hint=error.hint)]
        except LowtideError as error:
            return [Check(name=provider, state="bad", finding=error.message, hint=error.hint)]
        try:
            reply = await hands.ask(codec.models_call())
        except LowtideError as error:
            return [Check(name=provider, state="bad", finding=error.message, hint=error.hint)]
        if reply.status != 200:
            said = codec.decode_error(status=reply.status, headers=reply.headers, body=reply.body)
            key = Check(name=f"{provider} key", state="bad", finding=f"{said.message} ({said.status} {said.code})")
        else:
            address = self.settings.simulator or codec.base_url
            key = Check(name=f"{provider} key", state="ok", finding=f"{address} accepts it")
        seen = [f"{each.measure} {each.limit:,}" for each in codec.rates(reply.headers) if each.limit is not None]
        shown = ", ".join(seen) or "the provider names none here"
        limits = Check(name=f"{provider} limits", state="ok", finding=shown)
        return [key, limits, self._check_clock(codec, reply.headers, now)]

    def _check_tier(self, provider: str, day: date) -> Check:
        """Say for how many models the limits of real time are known before the first call; the rest is learned."""
        name = f"{provider} pace"
        if self.settings.simulated:
            return Check(name=name, state="ok", finding="the simulator's limits are learned from its replies")
        tier = next(each.tier for each in self.settings.providers if each.name == provider)
        sold = [each.name for each in self.catalog.models if each.provider == provider and each.sold_on(day)]
        if not sold:
            return Check(
                name=name,
                state="warning",
                finding=f"no model of {provider} has a price here, so nothing can be bought there",
                hint="name a price file of your own in the setting prices",
            )
        unknown = [model for model in sold if not self.limits_known(provider, model, day)]
        at = f" at tier {tier}" if tier else ""
        finding = f"limits of real time{at} are known for {len(sold) - len(unknown)} of {len(sold)} models on sale"
        if not unknown:
            return Check(name=name, state="ok", finding=finding)
        default = self.settings.model
        ours = f", also those of {default}, the settings' model" if default in unknown else ""
        return Check(
            name=name,
            state="ok",
            finding=f"{finding}; the others are not known and are learned from the first replies{ours}",
            hint=f"where you know your account's, say them: requests_per_minute in [providers.{provider}]",
        )

    def _check_clock(self, codec: Codec, headers: Mapping[str, str], now: datetime) -> Check:
        theirs = codec.provider_time(headers)
        name = f"{codec.provider} clock"
        if theirs is None:
            return Check(name=name, state="warning", finding="the provider did not say its time")
        seconds = abs((theirs - now).total_seconds())
        if seconds > 120:
            return Check(
                name=name,
                state="warning",
                finding=f"this machine's clock differs from the provider's by {seconds:.0f} s",
                hint="set the clock; lowtide compares the provider's times only with each other",
            )
        return Check(name=name, state="ok", finding=f"within {seconds:.0f} s of the provider's")

    def _check_disk(self) -> Check:
        free = shutil.disk_usage(self.store.folder).free
        state = "ok" if free > 2 << 30 else "warning" if free > 200 << 20 else "bad"
        return Check(
            name="disk",
            state=state,
            finding=f"{free / (1 << 30):.1f} GiB free for {self.store.folder}",
            hint="" if state == "ok" else "a million answers of 2 KB take about 1 GiB",
        )

    def _check_prices(self, today: date) -> Check:
        newest = max((row.checked_on for row in self.catalog.prices if row.checked_on), default=None)
        if newest is None:
            return Check(name="prices", state="warning", finding="no price says when it was checked")
        age = (today - newest).days
        when = "today" if age <= 0 else "yesterday" if age == 1 else f"{age} days ago"
        return Check(
            name="prices",
            state="ok" if age <= 60 else "warning",
            finding=f"{len(self.catalog.prices):,} prices, newest checked {newest} ({when})",
            hint="" if age <= 60 else "compare them with the provider's page; add what changed in a price file",
        )

    def _check_books(self) -> Iterator[Check]:
        with self.store.read() as tx:
            broken = books.imbalances(tx)
        if not broken:
            yield Check(name="books", state="ok", finding="debits equal credits, holds and settlements add up")
        for law in broken:
            yield Check(name="books", state="bad", finding=law.what, hint="restore a backup and report this")

    def backup(self, target: Path) -> None:
        """Copy the store, consistent although work goes on. Raises: StoreUnusable."""
        self.store.backup(target)

    async def prune(self, older_than: timedelta) -> prunes.Pruned:
        """Delete bodies and answers of runs that ended long ago, plans that never ran, and segments nothing points at.

        Transfers stay (promise 4).
        """
        now = await self.clock.now()
        return prunes.prune(self.store, before=now - older_than)
