"""Turns of lots in the store: who is behind whom, and what earlier batches read from caches."""

from dataclasses import replace

from world import LOT, NOW, PLAN, SECOND, add_run, add_shard, run

from lowtide.attempt import AttemptState
from lowtide.caching import HitsSeen
from lowtide.catalog import Lane
from lowtide.store import Store, history, plans, shards
from lowtide.store.schema import ATTEMPTS, LOTS, REQUESTS, SHARDS


def two_turns(store: Store) -> None:
    """Four requests: the first goes first, two follow, one of another provider has nothing to do with it."""
    add_run(store, 4)
    with store.write() as tx:
        plans.add_lots(tx, PLAN, {LOT: 0, replace(LOT, turn=1): 1, replace(LOT, provider="openai", turn=1): 2})
        for seq, lot in ((1, 1), (2, 1), (3, 2)):
            tx.execute(REQUESTS.update().where(REQUESTS.c.seq == seq).values(lot=lot))


def behind(store: Store) -> dict[int, bool]:
    with store.read() as tx:
        return {lot.lot: lot.behind for lot in shards.waiting_lots(tx, run(store))}


def test_a_later_turn_is_behind_until_the_earlier_one_is_back(store: Store) -> None:
    two_turns(store)
    assert behind(store) == {0: False, 1: True, 2: False}
    row = add_shard(store, [0])
    with store.write() as tx:
        tx.execute(LOTS.update().where(LOTS.c.lot == 0).values(packed_seq=0))
    assert behind(store) == {1: True, 2: False}, "it is out"
    with store.write() as tx:
        shards.set_shard(tx, row.shard_id, state=AttemptState.LANDED)
    assert behind(store) == {1: False, 2: False}
    with store.write() as tx:
        tx.execute(REQUESTS.update().where(REQUESTS.c.seq == 0).values(state="retry"))
    assert behind(store) == {0: False, 1: True, 2: False}, "it goes out again before the others"


def test_hits_are_counted_where_others_had_gone_first_and_where_nobody_had(store: Store) -> None:
    two_turns(store)
    first, rest = add_shard(store, [0]), add_shard(store, [1, 2], shard_id="lt00000000000002")
    with store.write() as tx:
        tx.execute(SHARDS.update().values(landed_at=NOW))
        tx.execute(SHARDS.update().where(SHARDS.c.shard_id == rest.shard_id).values(lot=1))
        for row, ordinal, seq, written, read in ((first, 0, 0, 50, 0), (rest, 0, 1, 0, 50), (rest, 1, 2, 50, 0)):
            values = {
                "input_tokens": 60,
                "output_tokens": 1,
                "reasoning_tokens": 0,
                "cost_nanos": 1,
                "at": NOW + SECOND,
            }
            zero = dict.fromkeys(("cache_write_5m_tokens", "cache_write_30m_tokens", "cache_write_12h_tokens"), 0)
            tx.execute(
                ATTEMPTS.insert().values(
                    shard_id=row.shard_id,
                    ordinal=ordinal,
                    plan_id=PLAN,
                    seq=seq,
                    outcome="succeeded",
                    code="",
                    message="",
                    cache_read_tokens=read,
                    cache_write_1h_tokens=written,
                    **zero,
                    **values,
                )
            )
        assert history.hits_seen(tx, "anthropic", Lane.BATCH, warmed=True) == HitsSeen(batches=1, requests=2, hits=1)
        assert history.hits_seen(tx, "anthropic", Lane.BATCH, warmed=False) is None, "who went first is no cold batch"
        assert history.hits_seen(tx, "openai", Lane.BATCH, warmed=True) is None
        assert history.hits_seen(tx, "anthropic", Lane.REALTIME, warmed=True) is None
        tx.execute(LOTS.update().values(turn=0))
        assert history.hits_seen(tx, "anthropic", Lane.BATCH, warmed=False) == HitsSeen(batches=2, requests=3, hits=1)
