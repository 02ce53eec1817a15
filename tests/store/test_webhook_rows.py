"""``store.webhooks``: an event counts once, moves a look nearer and never away, and writes nothing else, on both databases."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from world import NOW, PLAN, SECOND, SHARD, Home, add_batch, add_run, add_shard

from lowtide.batch import AT_PROVIDER, BatchState
from lowtide.store import Store, calls, shards
from lowtide.store.schema import BATCHES, CALLS, WEBHOOKS
from lowtide.store.webhooks import Event, Heard, forget, hear, heard_since

LATER = NOW + timedelta(minutes=5)


@dataclass
class Ear:
    """A store with a batch and two calls, and what it hears."""

    store: Store
    heard: int = 0

    def hear(self, type: str, object_id: str, *, webhook_id: str = "", at: datetime = NOW) -> Heard:  # noqa: A002 its name
        self.heard += 1
        event = Event(webhook_id=webhook_id or f"wh_{self.heard}", type=type, object_id=object_id)
        with self.store.write() as tx:
            return hear(tx, event, at)

    def rows(self) -> dict[str, list[dict[str, object]]]:
        with self.store.read() as tx:
            return {
                table.name: [dict(row._mapping) for row in tx.execute(select(table).order_by(*table.primary_key))]
                for table in (BATCHES, CALLS, WEBHOOKS)
            }


@pytest.fixture
def ear(store: Store) -> Ear:
    add_run(store)
    add_shard(store)
    return Ear(store)


def add_calls(store: Store) -> None:
    with store.write() as tx:
        calls.begin(store, tx, PLAN, [(SHARD, 0, 0), (SHARD, 1, 1)], NOW)
        calls.set_call(tx, SHARD, 0, state="queued", response_id="resp_a", next_at=LATER)


def test_an_event_moves_the_look_at_its_batch_and_nothing_else(ear: Ear) -> None:
    add_batch(ear.store, state=BatchState.RUNNING, provider_batch_id="batch_a", next_at=LATER)
    add_batch(ear.store, state=BatchState.RUNNING, provider_batch_id="batch_b", next_at=LATER)
    before = ear.rows()
    assert ear.hear("batch.completed", "batch_a") is Heard.LOOK_NOW
    after = ear.rows()
    assert after["batches"][0] == before["batches"][0] | {"next_at": NOW}
    assert after["batches"][1] == before["batches"][1]
    assert after["webhooks"] == [
        {"webhook_id": "wh_1", "received_at": NOW, "type": "batch.completed", "object_id": "batch_a"}
    ]


def test_an_event_moves_the_look_at_its_call_and_nothing_else(ear: Ear) -> None:
    add_calls(ear.store)
    before = ear.rows()
    assert ear.hear("response.completed", "resp_a") is Heard.LOOK_NOW
    assert ear.rows()["calls"] == [before["calls"][0] | {"next_at": NOW}, before["calls"][1]]
    assert ear.hear("response.failed", "resp_a") is Heard.NOTHING_DUE


def test_the_same_delivery_counts_once(ear: Ear) -> None:
    add_batch(ear.store, state=BatchState.RUNNING, provider_batch_id="batch_a", next_at=LATER)
    assert ear.hear("batch.completed", "batch_a", webhook_id="wh") is Heard.LOOK_NOW
    with ear.store.write() as tx:
        tx.execute(BATCHES.update().values(next_at=LATER))
    before = ear.rows()
    assert ear.hear("batch.completed", "batch_a", webhook_id="wh", at=NOW + SECOND) is Heard.DUPLICATE
    assert ear.rows() == before


@pytest.mark.parametrize("state", [*BatchState])
def test_only_what_is_at_the_provider_is_looked_at(ear: Ear, state: BatchState) -> None:
    add_batch(ear.store, state=state, provider_batch_id="batch_a", next_at=LATER)
    heard = ear.hear("batch.completed", "batch_a")
    assert heard is (Heard.LOOK_NOW if state in AT_PROVIDER else Heard.NOTHING_DUE)
    assert ear.rows()["batches"][0]["next_at"] == (NOW if state in AT_PROVIDER else LATER)


@pytest.mark.parametrize("next_at", [None, NOW - SECOND, NOW])
def test_a_look_that_is_due_is_never_put_off(ear: Ear, next_at: datetime | None) -> None:
    add_batch(ear.store, state=BatchState.RUNNING, provider_batch_id="batch_a", next_at=next_at)
    assert ear.hear("batch.completed", "batch_a") is Heard.NOTHING_DUE
    assert ear.rows()["batches"][0]["next_at"] == next_at


def test_what_we_do_not_know_is_kept_and_changes_nothing(ear: Ear) -> None:
    add_batch(ear.store, state=BatchState.RUNNING, provider_batch_id="batch_a", next_at=LATER)
    add_calls(ear.store)
    before = ear.rows()
    assert ear.hear("batch.completed", "batch_z") is Heard.UNKNOWN_OBJECT
    assert ear.hear("response.completed", "batch_a") is Heard.UNKNOWN_OBJECT
    assert ear.hear("fine_tuning.job.succeeded", "batch_a") is Heard.UNKNOWN_TYPE
    assert ear.hear("batches", "batch_a") is Heard.UNKNOWN_TYPE
    after = ear.rows()
    assert (after["batches"], after["calls"]) == (before["batches"], before["calls"])
    assert len(after["webhooks"]) == 4


def test_an_event_waits_for_whoever_writes_about_its_batch_and_is_not_put_off(migrated: Home) -> None:
    ear, store = Ear(migrated.open()), migrated.open()
    add_run(store)
    add_shard(store)
    batch_id = add_batch(store, state=BatchState.RUNNING, provider_batch_id="batch_a", next_at=NOW)
    comes = threading.Thread(target=ear.hear, args=("batch.completed", "batch_a"))
    with store.write() as tx:
        shards.batches(tx, [batch_id], lock=True)
        assert not heard_since(tx, NOW - SECOND)
        comes.start()
        comes.join(0.3)
        shards.set_batch(tx, batch_id, next_at=LATER)
    comes.join(30)
    assert ear.rows()["batches"][0]["next_at"] == NOW


def test_old_events_are_forgotten(ear: Ear) -> None:
    for seconds in range(4):
        ear.hear("batch.completed", "batch_z", at=NOW + seconds * SECOND)
    with ear.store.write() as tx:
        assert forget(tx, NOW + 2 * SECOND) == 2
    assert [row["webhook_id"] for row in ear.rows()["webhooks"]] == ["wh_3", "wh_4"]
