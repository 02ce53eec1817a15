"""``store/plans``: plans and their requests as they are made; on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select
from world import LOT, MODEL, NOW, PLAN, SECOND, add_plan, add_run, new_request, plan_row

from lowtide.store import Store, plans, runs, shards
from lowtide.store.schema import KINDS, METADATA, REQUESTS


def count(store: Store) -> int:
    with store.read() as tx:
        return tx.execute(select(func.count()).select_from(REQUESTS)).scalar_one()


def test_a_plan_counts_only_when_it_is_sealed(store: Store) -> None:
    with store.write() as tx:
        plans.insert_plan(tx, plan_row(), sealed=False)
        assert plans.find_plan(tx, PLAN) is None
        assert plans.newest_without_run(tx, 9) == []
        plans.seal_plan(tx, plan_row(title="whole", waves=3), NOW + SECOND)
        found = plans.find_plan(tx, PLAN)
    assert found == plan_row(title="whole", waves=3, sealed_at=NOW + SECOND)


def test_scopes_are_kept_small(store: Store) -> None:
    with store.write() as tx:
        plans.insert_plan(tx, plan_row(scope=b"node " * 100_000), sealed=True)
        stored = tx.execute(select(func.length(METADATA.tables["plans"].c.scope))).scalar_one()
        found = plans.find_plan(tx, PLAN)
    assert stored < 5000
    assert found is not None
    assert found.scope == b"node " * 100_000
    assert plans.figures_of(found) == {"requests": 3}


def test_a_plan_is_listed_although_newer_ones_are_runs(store: Store) -> None:
    add_plan(store, plan_id="p_0")
    add_run(store)
    with store.read() as tx:
        assert [row.plan_id for row in plans.newest_without_run(tx, 1)] == ["p_0"]


def test_newest_plans_come_first(store: Store) -> None:
    with store.write() as tx:
        for number in range(4):
            plans.insert_plan(tx, plan_row(f"p_{number}", created_at=NOW + number * SECOND), sealed=True)
        assert [row.plan_id for row in plans.newest_without_run(tx, 3)] == ["p_3", "p_2", "p_1"]


def test_broken_off_plans_are_found_by_age(store: Store) -> None:
    with store.write() as tx:
        plans.insert_plan(tx, plan_row("p_old", created_at=NOW), sealed=False)
        plans.insert_plan(tx, plan_row("p_new", created_at=NOW + 9 * SECOND), sealed=False)
        plans.insert_plan(tx, plan_row("p_whole", created_at=NOW), sealed=True)
        assert plans.unsealed_plans(tx, NOW + SECOND) == ["p_old"]


def test_a_plan_is_dropped_whole_and_alone(store: Store) -> None:
    add_plan(store)
    add_plan(store, plan_id="p_2")
    with store.write() as tx:
        plans.drop_plan(tx, PLAN)
        assert plans.find_plan(tx, PLAN) is None
        assert plans.find_plan(tx, "p_2") is not None
        assert plans.last_seq(tx, PLAN) == -1
        assert (plans.lots(tx, PLAN), plans.lots(tx, "p_2")) == ({}, {LOT: 0})
    assert count(store) == 3


def test_a_plan_with_a_run_is_never_dropped(store: Store) -> None:
    add_run(store)
    with pytest.raises(AssertionError), store.write() as tx:
        plans.drop_plan(tx, PLAN)
    assert count(store) == 3


# requests


def insert(store: Store, *rows: plans.NewRequest) -> list[str]:
    with store.write() as tx:
        return [row.key for row in plans.insert_requests(store, tx, PLAN, rows)]


def test_of_many_rows_those_repeated_are_named(store: Store) -> None:
    """Rows are written many a statement: repeated within one, in another one and in an earlier block."""
    again = {7: "key 3", 60: "key 55", 110: "key 2", 115: "key 1000"}
    add_plan(store, 1)
    with store.write() as tx:
        first = [new_request(1000)]
        rows = [new_request(seq, **({"key": again[seq]} if seq in again else {})) for seq in range(1, 118)]
        assert plans.insert_requests(store, tx, PLAN, first) == []
        repeated = plans.insert_requests(store, tx, PLAN, rows)
    assert [row.seq for row in repeated] == sorted(again)
    with store.read() as tx:
        assert len(list(plans.request_sources(tx, PLAN, 0))) == 1 + 1 + 117 - len(again)


def test_repeated_keys_are_named_and_not_written(store: Store) -> None:
    assert insert(store, new_request(0), new_request(1)) == []
    assert insert(store, new_request(2, key="key 0"), new_request(3), new_request(4, key="key 1")) == ["key 0", "key 1"]
    assert count(store) == 3
    with store.read() as tx:
        assert list(plans.request_sources(tx, PLAN, 0)) == [
            ("key 0", 1 << 40),
            ("key 1", 1 << 40 | 1),
            ("key 3", 1 << 40 | 3),
        ]


def test_keys_repeated_within_one_block_are_named_once_a_repetition(store: Store) -> None:
    rows = [new_request(0, key="a"), new_request(1, key="a"), new_request(2, key="b"), new_request(3, key="a")]
    assert insert(store, *rows) == ["a", "a"]
    assert count(store) == 2


def test_the_same_key_in_another_plan_is_another(store: Store) -> None:
    insert(store, new_request(0))
    with store.write() as tx:
        assert plans.insert_requests(store, tx, "p_2", [new_request(0)]) == []
    assert count(store) == 2


@pytest.mark.parametrize("key", ["é", "a" * 512, "100% ?", "line\nbreak", "'; drop table requests; --", "a:b:c", "%s"])
def test_keys_in_every_script_are_kept(store: Store, key: str) -> None:
    insert(store, new_request(0, key=key))
    assert insert(store, new_request(1, key=key)) == [key]
    with store.read() as tx:
        assert [found for found, _ in plans.request_sources(tx, PLAN, 0)] == [key]


def test_a_whole_block_of_a_thousand_is_written(store: Store) -> None:
    assert insert(store, *[new_request(seq) for seq in range(1000)]) == []
    repeated = [new_request(1000 + seq, key=f"key {seq}") for seq in range(1000)]
    assert insert(store, *repeated) == [f"key {seq}" for seq in range(1000)]
    assert insert(store) == []


# waves


def test_a_wave_broken_off_is_dropped_and_made_again(store: Store) -> None:
    add_plan(store)
    insert(store, new_request(3, wave=1), new_request(4, wave=1))
    with store.write() as tx:
        assert plans.last_seq(tx, PLAN) == 2
        plans.drop_wave(tx, PLAN, 1)
    assert count(store) == 3
    assert insert(store, new_request(3, wave=1)) == []
    with store.write() as tx:
        plans.insert_wave(tx, PLAN, 1, first_seq=3, last_seq=3)
        assert plans.last_seq(tx, PLAN) == 3


def test_kinds_are_noted_once_and_keep_what_was_learned(store: Store) -> None:
    add_plan(store)
    with store.write() as tx:
        tx.execute(KINDS.update().values(passed=True))
        seen = [("line", "anthropic", MODEL), ("line", "anthropic", "claude-haiku-5-5"), ("line", "openai", MODEL)]
        plans.add_kinds(tx, PLAN, seen)
        rows = tx.execute(select(KINDS.c.provider, KINDS.c.model, KINDS.c.passed)).all()
    assert sorted(tuple(row) for row in rows) == [
        ("anthropic", "claude-haiku-5-5", False),
        ("anthropic", MODEL, True),
        ("openai", MODEL, False),
    ]


def test_lots_are_noted_once_and_keep_where_they_are(store: Store) -> None:
    """A later wave adds what is new; what is packed, and how it goes out, stays as it is."""
    add_plan(store)
    later = {LOT: 0, replace(LOT, provider="openai"): 1, replace(LOT, turn=1): 2}
    with store.write() as tx:
        runs.set_packed(tx, PLAN, 0, 2)
        plans.set_routes(tx, PLAN, {0: "realtime"})
        plans.add_lots(tx, PLAN, later, packed_seq=2)
        assert plans.lots(tx, PLAN) == later
        rows = [shards.lot_row(tx, PLAN, lot) for lot in range(3)]
        assert plans.lots(tx, "p_2") == {}
    assert [(row.route, row.packed_seq) for row in rows] == [("realtime", 2), ("batch", 2), ("batch", 2)]
