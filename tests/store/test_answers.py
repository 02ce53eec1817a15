"""``store/answers`` and ``store/history``: finished requests read back; on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from world import MODEL, NOW, PAYEE, PAYER, PLAN, RUN, SECOND, SHARD, add_batch, add_run, add_shard, land, landed

from lowtide.batch import BatchState
from lowtide.dispatch import Role, RunState
from lowtide.ledger import Reason
from lowtide.money import Nanos
from lowtide.packing import ShardId
from lowtide.routing import TurnaroundSeen
from lowtide.store import Store, answers, books, history, runs, shards
from lowtide.store.answers import FailureCount, StateCount
from lowtide.store.schema import LOTS, REQUESTS
from lowtide.usage import Usage

ERRORED: dict[str, Any] = {"outcome": "errored", "usage": None, "cost": Nanos(0), "answer_at": None}


def mixed(store: Store) -> None:
    """Six requests: two answered, one failed, one to go out again, one out, one waiting."""
    add_run(store, 6)
    add_shard(store, [0, 1, 2, 3, 4])
    land(
        store,
        [
            landed(0),
            landed(1, code="max_tokens", cost=Nanos(7)),
            landed(2, **ERRORED, code="invalid_request_error", message="too long", state="failed"),
            landed(3, **ERRORED, code="overloaded_error", message="", state="retry"),
        ],
    )


def test_a_finished_request_reads_back_whole(store: Store) -> None:
    mixed(store)
    with store.write() as tx:
        tx.execute(REQUESTS.update().where(REQUESTS.c.seq == 0).values(gaps="a:b\nc d"))
    with store.read() as tx:
        found = answers.by_key(tx, PLAN, "key 0")
        assert answers.by_key(tx, PLAN, "no key") is None
        waiting = answers.by_key(tx, PLAN, "key 5")
    assert found is not None
    assert waiting is not None
    assert (found.seq, found.wave, found.kind, found.model) == (0, 0, "line", "claude-sonnet-5-5")
    assert (found.state, found.tries, found.gaps, found.route, found.at) == (
        "succeeded",
        1,
        ("a:b", "c d"),
        "batch",
        NOW,
    )
    assert (found.outcome, found.code, found.message, found.answer_at) == ("succeeded", "end_turn", "", 2 << 40)
    assert found.cost == 40
    assert found.usage == Usage(
        input_tokens=100,
        output_tokens=20,
        cache_read_tokens=7,
        cache_write_5m_tokens=5,
        cache_write_1h_tokens=3,
        reasoning_tokens=2,
    )
    assert (waiting.outcome, waiting.answer_at, waiting.route, waiting.at, waiting.gaps) == ("", None, "", None, ())
    assert (waiting.cost, waiting.usage) == (0, Usage(input_tokens=0, output_tokens=0))


def test_everything_comes_in_order_and_states_choose(store: Store) -> None:
    mixed(store)
    everything = list(answers.in_order(store, PLAN))
    assert [row.seq for row in everything] == [0, 1, 2, 3, 4, 5]
    assert [row.state for row in everything] == ["succeeded", "succeeded", "failed", "retry", "pending", "pending"]
    assert [row.seq for row in answers.in_order(store, PLAN, states=["failed", "retry"])] == [2, 3]
    assert [row.seq for row in answers.in_order(store, PLAN, after_seq=3)] == [4, 5]
    assert list(answers.in_order(store, PLAN, states=["canceled"])) == []


def test_a_cost_that_nobody_knows_is_not_zero(store: Store) -> None:
    """An answer whose price is not known is held for; a lost reply may have been billed; what is free is zero."""
    add_run(store, 5)
    lost = {**ERRORED, "state": "failed"}
    for shard_id, seqs in ((SHARD, [0, 1, 2]), ("lt2", [3, 4])):
        add_shard(store, seqs, shard_id=shard_id)
    land(store, [landed(0), landed(1, cost=Nanos(0)), landed(2, **lost, code="reply_lost", message="gone")])
    rows = [landed(0, seq=3, cost=Nanos(0)), landed(1, seq=4, **lost, code="overloaded_error", message="full")]
    land(store, rows, shard_id="lt2")
    with store.write() as tx:
        reason = Reason.PRICE_UNKNOWN
        books.reserve(tx, payer=PAYER, payee=PAYEE, amount=Nanos(9), reason=reason, shard_id=SHARD, at=NOW)
    expected = [40, None, None, 0, 0]
    assert [row.cost for row in answers.in_order(store, PLAN)] == expected
    assert [row.cost for row in answers.of_shard(store, SHARD)] == expected[:3]
    with store.read() as tx:
        unknown, free = answers.by_key(tx, PLAN, "key 1"), answers.by_key(tx, PLAN, "key 3")
    assert unknown is not None
    assert free is not None
    assert (unknown.cost, free.cost) == (None, 0)


def test_more_than_a_page_comes_in_order(store: Store) -> None:
    count = 2 * answers.PAGE + 3
    add_run(store, count)
    add_shard(store, list(range(count)))
    land(store, [landed(ordinal) for ordinal in reversed(range(count))])
    assert [row.seq for row in answers.in_order(store, PLAN)] == list(range(count))
    assert [row.seq for row in answers.of_shard(store, SHARD)] == list(range(count))


def test_a_full_last_page_ends(store: Store) -> None:
    add_run(store, answers.PAGE)
    add_shard(store, list(range(answers.PAGE)))
    land(store, [landed(ordinal) for ordinal in range(answers.PAGE)])
    assert len(list(answers.in_order(store, PLAN))) == answers.PAGE
    assert len(list(answers.of_shard(store, SHARD))) == answers.PAGE


def test_a_shard_gives_what_it_decided_and_no_more(store: Store) -> None:
    """A request that went out again is the second shard's."""
    mixed(store)
    add_shard(store, [3, 5], shard_id="lt2")
    land(store, [landed(0, seq=3), landed(1, seq=5)], shard_id="lt2")
    assert [(row.seq, row.state) for row in answers.of_shard(store, SHARD)] == [
        (0, "succeeded"),
        (1, "succeeded"),
        (2, "failed"),
    ]
    second = list(answers.of_shard(store, "lt2"))
    assert [(row.seq, row.tries) for row in second] == [(3, 2), (5, 1)]


def test_the_same_sequence_numbers_of_another_plan_stay_apart(store: Store) -> None:
    mixed(store)
    add_run(store, 3, plan_id="p_2", run_id="r_2")
    add_shard(store, [0], shard_id="lt2", run_id="r_2", plan_id="p_2")
    land(store, [landed(0, cost=Nanos(1))], shard_id="lt2", plan_id="p_2")
    assert [row.cost for row in answers.of_shard(store, "lt2")] == [1]
    assert sum(row.cost for row in answers.in_order(store, PLAN)) == 47


def test_states_are_counted_with_tokens_and_cost(store: Store) -> None:
    mixed(store)
    with store.read() as tx:
        counts = {count.state: count for count in answers.states(tx, PLAN)}
    assert counts == {
        "succeeded": StateCount(state="succeeded", requests=2, input_tokens=200, output_tokens=40, cost=Nanos(47)),
        "failed": StateCount(state="failed", requests=1, input_tokens=0, output_tokens=0, cost=Nanos(0)),
        "retry": StateCount(state="retry", requests=1, input_tokens=0, output_tokens=0, cost=Nanos(0)),
        "pending": StateCount(state="pending", requests=2, input_tokens=0, output_tokens=0, cost=Nanos(0)),
    }


def test_failures_are_counted_by_reason_commonest_first(store: Store) -> None:
    add_run(store, 5)
    add_shard(store, list(range(5)))
    failed = ERRORED | {"state": "failed"}
    land(
        store,
        [
            landed(0, **failed, code="api_error", message="b"),
            landed(1, **failed, code="invalid_request_error", message=""),
            landed(2, **failed, code="invalid_request_error", message="z"),
            landed(3, **failed, code="invalid_request_error", message="y"),
            landed(4),
        ],
    )
    with store.read() as tx:
        assert answers.failures(tx, PLAN) == [
            FailureCount(state="failed", outcome="errored", code="invalid_request_error", requests=3, example="y"),
            FailureCount(state="failed", outcome="errored", code="api_error", requests=1, example="b"),
        ]


def test_what_a_provider_said_is_kept_without_nul_and_not_longer_than_its_limit(store: Store) -> None:
    """PostgreSQL refuses NUL: one such word ended the process, and all that was settled with it was lost."""
    add_run(store, 2)
    add_shard(store, [0, 1])
    failed = ERRORED | {"state": "failed"}
    land(store, [landed(0, **failed, code="odd\0" * 100, message="said\0" + "o" * 5000), landed(1, code="end\0")])
    with store.read() as tx:
        (failure,) = answers.failures(tx, PLAN)
    assert (failure.code, failure.example) == (
        "odd\N{REPLACEMENT CHARACTER}" * 25,
        "said\N{REPLACEMENT CHARACTER}" + "o" * 995,
    )
    with store.write() as tx:
        runs.note(tx, RUN, NOW, "it said\0" + "o" * 5000)
        runs.set_state(tx, RUN, RunState.PAUSED, reason="it refuses\0" + "o" * 5000)
    with store.read() as tx:
        ((_, _, _, text),) = runs.events_after(tx, RUN, 0)
        run = runs.find_run(tx, RUN)
    assert run is not None
    assert text == "it said\N{REPLACEMENT CHARACTER}" + "o" * 1992
    assert run.reason == "it refuses\N{REPLACEMENT CHARACTER}" + "o" * 1989


@pytest.mark.parametrize("over", ["failed", "canceled"])
def test_what_is_pruned_is_counted_by_its_attempts_as_it_was_by_its_requests(store: Store, over: str) -> None:
    add_run(store, 4)
    add_shard(store, [0, 1, 2, 3])
    expired = ERRORED | {"outcome": "expired", "code": "expired"}
    land(
        store,
        [
            landed(0),
            landed(1, **expired, state="retry"),
            landed(2, **expired, state=over),
            landed(3, **expired, state=over),
        ],
    )
    add_shard(store, [1], shard_id="lt2")
    with store.write() as tx:
        again = landed(0, **ERRORED, seq=1, state="failed")
        shards.land(store, tx, shard_id=ShardId("lt2"), plan_id=PLAN, rows=[again], at=NOW + SECOND)
    with store.read() as tx:
        before = {count.state: count for count in answers.states(tx, PLAN)}
        after = {count.state: count for count in answers.attempted(tx, PLAN, canceled=over == "canceled")}
    assert after == before


def test_answers_are_counted_by_stop_reason(store: Store) -> None:
    mixed(store)
    with store.read() as tx:
        assert answers.stop_reasons(tx, PLAN) == {"end_turn": 1, "max_tokens": 1}
        assert answers.stop_reasons(tx, PLAN, pruned=True) == {"end_turn": 1, "max_tokens": 1}
        assert answers.plan_of_run(tx, RUN) == PLAN


# history


def test_only_whole_batches_of_ours_tell_how_long_one_takes(store: Store) -> None:
    add_run(store)
    add_shard(store)

    def add(minutes: int, **values: object) -> None:
        add_batch(store, state=BatchState.ENDED, created_at=NOW, ended_at=NOW + timedelta(minutes=minutes), **values)

    add(5, provider_batch_id="a")
    add(7, provider_batch_id="b")
    add(100, role=Role.ADOPTED, provider_batch_id="c")
    add(200, role=Role.DUPLICATE, provider_batch_id="d")
    add_batch(store, state=BatchState.FAILED, created_at=NOW, ended_at=NOW + SECOND)
    canceled = add_batch(store, state=BatchState.CANCELED, created_at=NOW, ended_at=NOW + SECOND)
    add_batch(store, state=BatchState.RUNNING, created_at=NOW)
    add_batch(store)
    with store.write() as tx:
        shards.set_batch(tx, canceled, cancel_asked=True)
    with store.read() as tx:
        assert sorted(history.durations(tx, ["anthropic", "openai"])) == [timedelta(minutes=5), timedelta(minutes=7)]
        assert history.durations(tx, ["openai"]) == []


def test_turnarounds_are_told_newest_first_with_what_routing_asks_of_them(store: Store) -> None:
    """Those that are out tell that they take longer than their age."""
    add_run(store)
    add_shard(store)

    def add(minutes: int | None = None, **values: object) -> None:
        ended_at = None if minutes is None else NOW + timedelta(minutes=minutes)
        state = BatchState.RUNNING if minutes is None else BatchState.ENDED
        add_batch(store, **{"state": state, "created_at": NOW, "ended_at": ended_at, **values})

    add(5, provider_batch_id="a", total=7)
    add(provider_batch_id="b", total=8)
    add(9, provider_batch_id="c", role=Role.DUPLICATE)
    add(9, provider_batch_id="d", state=BatchState.FAILED)
    add(9, provider_batch_id="e", state=BatchState.LOST)
    add(9, provider_batch_id="f", created_at=None)
    with store.read() as tx:
        found = history.turnarounds(tx, "anthropic", NOW + timedelta(minutes=30))
        assert history.turnarounds(tx, "openai", NOW) == []
    out = TurnaroundSeen(
        provider="anthropic", model=MODEL, requests=8, hour=10, took=timedelta(minutes=30), ended=False
    )
    assert found == [out, replace(out, requests=7, took=timedelta(minutes=5), ended=True)]


def test_a_batch_that_was_canceled_tells_only_that_it_takes_longer(store: Store) -> None:
    """One that finished although we asked to cancel it ended by itself."""
    add_run(store)
    add_shard(store)
    ended = {"created_at": NOW, "ended_at": NOW + timedelta(minutes=5), "cancel_asked": True}
    called_back = add_batch(store, state=BatchState.CANCELED, provider_batch_id="a")
    finished = add_batch(store, state=BatchState.ENDED, provider_batch_id="b")
    with store.write() as tx:
        shards.set_batch(tx, called_back, **ended, canceled=2)
        shards.set_batch(tx, finished, **ended)
        found = history.turnarounds(tx, "anthropic", NOW + timedelta(minutes=30))
    assert [(seen.took, seen.ended) for seen in found] == [(timedelta(minutes=5), True), (timedelta(minutes=5), False)]


def test_a_turnaround_has_the_model_of_its_lot_where_a_batch_takes_one(store: Store) -> None:
    add_run(store)
    with store.write() as tx:
        tx.execute(LOTS.update().values(model="gpt-5.6-luna"))
    add_shard(store)
    add_batch(store, state=BatchState.ENDED, created_at=NOW, ended_at=NOW - SECOND)
    with store.read() as tx:
        (found,) = history.turnarounds(tx, "anthropic", NOW)
    assert (found.model, found.took) == ("gpt-5.6-luna", timedelta()), "no clock of a provider makes it negative"
