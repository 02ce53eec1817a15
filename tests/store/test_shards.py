"""``store/shards``: what waits, what is packed, what landed; on SQLite and on PostgreSQL."""

from array import array
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from world import (
    LOT,
    MODEL,
    NOW,
    PAYEE,
    PAYER,
    PLAN,
    RUN,
    SECOND,
    SHARD,
    add_batch,
    add_calls,
    add_plan,
    add_run,
    add_shard,
    land,
    landed,
    new_request,
    run,
)

from lowtide.attempt import AttemptState, CallState
from lowtide.batch import AT_PROVIDER, BatchEvent, BatchState, BatchView, Counts, LineProblem
from lowtide.dispatch import KnownLot, Role
from lowtide.ledger import Reason
from lowtide.money import Nanos
from lowtide.packing import Candidate, ShardId
from lowtide.request import Endpoint
from lowtide.store import Store, books, plans, runs, shards
from lowtide.store.books import Settlement
from lowtide.store.schema import ATTEMPTS, BATCHES, REQUESTS


def states(store: Store, plan_id: str = PLAN) -> list[str]:
    with store.read() as tx:
        query = select(REQUESTS.c.state).where(REQUESTS.c.plan_id == plan_id).order_by(REQUESTS.c.seq)
        return list(tx.execute(query).scalars())


def set_states(store: Store, state: str, seqs: list[int], was: str = "pending") -> int:
    with store.write() as tx:
        return shards.set_requests(store, tx, PLAN, seqs, state=state, was=was)


def candidate(seq: int, *, fresh: bool = True, ceiling: int = 100, doubted: bool = False) -> Candidate:
    return Candidate(seq=seq, body_bytes=1000, ceiling=Nanos(ceiling), fresh=fresh, doubted=doubted)


def candidates(store: Store, lot: int = 0, *, realtime: bool = False) -> list[Candidate]:
    with store.read() as tx:
        return list(shards.candidates(tx, run(store), shards.lot_row(tx, PLAN, lot), realtime=realtime))


def known_lot(**values: Any) -> KnownLot:
    made = KnownLot(
        lot=0,
        provider="anthropic",
        route="batch",
        pending=True,
        retrying=0,
        batch_ceiling=Nanos(100),
        realtime_ceiling=Nanos(200),
    )
    return replace(made, **values)


def waiting(store: Store) -> tuple[KnownLot, ...]:
    with store.read() as tx:
        return shards.waiting_lots(tx, run(store))


# what waits


def test_those_that_go_out_again_come_first_then_the_fresh_in_order(store: Store) -> None:
    add_run(store, 6)
    set_states(store, "retry", [5, 1])
    set_states(store, "trying", [3])
    again = [candidate(1, fresh=False), candidate(5, fresh=False)]
    assert candidates(store) == [*again, candidate(0), candidate(2), candidate(4)]


def test_each_lane_has_its_ceiling(store: Store) -> None:
    add_run(store, 3)
    set_states(store, "retry", [1])
    found = [candidate(1, fresh=False, ceiling=200), candidate(0, ceiling=200), candidate(2, ceiling=200)]
    assert candidates(store, realtime=True) == found


def test_what_a_lost_call_may_have_bought_already_is_doubted(store: Store) -> None:
    """A second call for it is booked as a possible duplicate; one that is only under way is no doubt."""
    add_run(store, 3)
    add_shard(store, route="realtime")
    add_calls(store, [0], state=CallState.DOUBTFUL)
    add_calls(store, [1])
    set_states(store, "retry", [0, 1, 2])
    for realtime in (True, False):
        assert [found.doubted for found in candidates(store, realtime=realtime)] == [True, False, False]


def test_a_doubt_of_another_plan_is_not_ours(store: Store) -> None:
    add_run(store, 1, plan_id="p_2", run_id="r_2")
    add_shard(store, [0], shard_id="lt2", run_id="r_2", plan_id="p_2", route="realtime")
    add_calls(store, [0], "lt2", state=CallState.DOUBTFUL)
    add_run(store, 1)
    set_states(store, "retry", [0])
    assert [found.doubted for found in candidates(store)] == [False]


def test_what_is_in_a_shard_already_is_no_candidate(store: Store) -> None:
    add_run(store, 6)
    with store.write() as tx:
        runs.set_packed(tx, PLAN, 0, 3)
    assert candidates(store) == [candidate(4), candidate(5)]


def test_a_wave_that_is_not_whole_is_no_candidate(store: Store) -> None:
    add_run(store, 2)
    with store.write() as tx:
        plans.insert_requests(store, tx, PLAN, [new_request(2, wave=1), new_request(3, wave=1)])
    assert [found.seq for found in candidates(store)] == [0, 1]
    with store.write() as tx:
        runs.set_packed(tx, PLAN, 0, 1)
    assert candidates(store) == []
    assert waiting(store) == ()
    with store.write() as tx:
        plans.insert_wave(tx, PLAN, 1, first_seq=2, last_seq=3)
    assert [found.seq for found in candidates(store)] == [2, 3]
    assert waiting(store) == (known_lot(),)


def test_candidates_stream_and_may_be_left_half_read(store: Store) -> None:
    add_run(store, 5000)
    with store.read() as tx:
        stream = shards.candidates(tx, run(store), shards.lot_row(tx, PLAN, 0), realtime=False)
        assert [next(stream).seq for _ in range(3)] == [0, 1, 2]
        assert shards.waiting_lots(tx, run(store)) == (known_lot(),)
    assert [found.seq for found in candidates(store)] == list(range(5000))


# lots


OTHER = replace(LOT, provider="openai", model="gpt-5.6-luna", endpoint=Endpoint.RESPONSES, turn=2)


def two_lots(store: Store) -> None:
    """Six requests; the odd ones belong to another provider's lot and cost more."""
    add_run(store, 6)
    with store.write() as tx:
        plans.add_lots(tx, PLAN, {LOT: 0, OTHER: 1})
        odd = REQUESTS.c.seq % 2 == 1
        tx.execute(REQUESTS.update().where(odd).values(lot=1, ceiling_nanos=7, realtime_nanos=9, model=OTHER.model))


def test_each_lot_has_its_own_who_wait(store: Store) -> None:
    two_lots(store)
    assert [found.seq for found in candidates(store)] == [0, 2, 4]
    assert [(found.seq, found.ceiling) for found in candidates(store, 1)] == [(1, 7), (3, 7), (5, 7)]
    with store.write() as tx:
        runs.set_packed(tx, PLAN, 1, 3)
    assert [found.seq for found in candidates(store)] == [0, 2, 4], "what one lot has packed is not the other's"
    assert [found.seq for found in candidates(store, 1)] == [5]


def test_a_lot_reads_back(store: Store) -> None:
    two_lots(store)
    with store.write() as tx:
        shards.set_lot(tx, PLAN, 1, requests_max=50)
        plans.set_routes(tx, PLAN, {1: "2h"})
        runs.set_packed(tx, PLAN, 1, 3)
        row = shards.lot_row(tx, PLAN, 1)
        assert plans.lots(tx, PLAN) == {LOT: 0, OTHER: 1}
        untouched = shards.lot_row(tx, PLAN, 0)
    assert (row.lot, row.provider, row.model, row.endpoint) == (1, "openai", "gpt-5.6-luna", Endpoint.RESPONSES)
    assert (row.route, row.turn, row.packed_seq, row.requests_max) == ("2h", 2, 3, 50)
    assert (untouched.route, untouched.turn, untouched.packed_seq, untouched.requests_max) == ("batch", 0, -1, None)


def test_only_lots_of_which_something_waits_are_known(store: Store) -> None:
    two_lots(store)
    second = known_lot(lot=1, provider="openai", batch_ceiling=Nanos(7), realtime_ceiling=Nanos(9))
    assert waiting(store) == (known_lot(), second)
    with store.write() as tx:
        runs.set_packed(tx, PLAN, 0, 4)
        plans.set_routes(tx, PLAN, {1: "realtime"})
    (only,) = waiting(store)
    assert only == replace(second, route="realtime")
    assert only.next_ceiling == 9
    set_states(store, "retry", [2])
    assert waiting(store)[0] == known_lot(pending=False, retrying=1)


def test_the_ceilings_of_a_lot_are_of_what_goes_out_next(store: Store) -> None:
    """Those that go out again come first, so theirs count."""
    add_run(store, 4)
    with store.write() as tx:
        tx.execute(REQUESTS.update().where(REQUESTS.c.seq == 2).values(ceiling_nanos=1, realtime_nanos=2))
        plans.insert_requests(store, tx, "p_2", [new_request(0, ceiling=7)])
    assert waiting(store) == (known_lot(),)
    set_states(store, "retry", [3, 2])
    assert waiting(store) == (known_lot(retrying=2, batch_ceiling=Nanos(1), realtime_ceiling=Nanos(2)),)
    set_states(store, "succeeded", [0, 1])
    set_states(store, "succeeded", [2, 3], was="retry")
    assert waiting(store) == ()


def test_lots_are_known_in_order_and_only_so_many_at_a_time(store: Store) -> None:
    count = shards.LOTS_MAX + 2
    add_run(store, count)
    with store.write() as tx:
        plans.add_lots(tx, PLAN, {replace(LOT, model=f"{number}"): number for number in range(1, count)})
        tx.execute(REQUESTS.update().values(lot=REQUESTS.c.seq))
    assert [lot.lot for lot in waiting(store)] == list(range(shards.LOTS_MAX))
    set_states(store, "succeeded", [0])
    assert [lot.lot for lot in waiting(store)] == list(range(1, shards.LOTS_MAX + 1))


def test_the_first_of_a_kind_is_found(store: Store) -> None:
    two_lots(store)
    with store.write() as tx:
        tx.execute(REQUESTS.update().where(REQUESTS.c.seq == 2).values(kind="summary"))
        runs.set_packed(tx, PLAN, 0, 0)

    def first(kind: str, provider: str = "anthropic", model: str = MODEL) -> int | None:
        with store.read() as tx:
            return shards.first_of_kind(tx, run(store), kind, provider, model)

    assert first("line") == 4
    assert first("summary") == 2
    assert first("line", "openai", OTHER.model) == 1
    assert first("line", "openai") is None
    assert first("line", model="claude-haiku-5-5") is None
    set_states(store, "retry", [0])
    assert first("line") == 0


# shards and batches


def test_a_shard_reads_back(store: Store) -> None:
    add_run(store)
    row = add_shard(store, [0, 2])
    with store.read() as tx:
        assert shards.shard(tx, SHARD) == row
    with store.write() as tx:
        shards.set_shard(tx, SHARD, state=AttemptState.LANDED)
        found = shards.shard(tx, SHARD)
    assert (found.state, found.members) == (AttemptState.LANDED, array("q", [0, 2]))


VIEW = BatchView(
    provider_batch_id="msgbatch_1",
    event=BatchEvent.FOUND_RUNNING,
    counts=Counts(total=3, succeeded=1, errored=2),
    created_at=NOW,
    expires_at=None,
    ended_at=None,
    results_paths=(),
)


def test_a_batch_reads_back(store: Store) -> None:
    add_run(store)
    add_shard(store)
    batch_id = add_batch(store, state=BatchState.SUBMITTING, newest_before="msgbatch_0", submitting_at=NOW)
    with store.write() as tx:
        shards.set_batch(
            tx,
            batch_id,
            state=BatchState.RUNNING,
            provider_batch_id="msgbatch_1",
            verified=True,
            **shards.view_values(VIEW),
        )
        row = shards.batch(tx, batch_id)
    assert (row.shard_id, row.role, row.state, row.total) == (SHARD, Role.OURS, BatchState.RUNNING, 3)
    assert (row.provider_batch_id, row.newest_before, row.submitting_at) == ("msgbatch_1", "msgbatch_0", NOW)
    assert (row.created_at, row.verified, row.succeeded, row.creates) == (NOW, True, 1, 0)
    assert (row.results_paths, row.problems, row.input_file_id) == ((), (), None)
    with store.read() as tx:
        assert [found.batch_id for found in shards.batches_of_run(tx, RUN)] == [batch_id]
        assert shards.known_provider_ids(tx, "anthropic", ["msgbatch_1", "msgbatch_2"]) == {"msgbatch_1"}
        assert shards.known_provider_ids(tx, "openai", ["msgbatch_1"]) == set()


def test_all_that_is_to_be_read_of_a_batch_and_why_it_failed_are_kept(store: Store) -> None:
    add_run(store)
    add_shard(store)
    batch_id = add_batch(store, input_file_id="file-1")
    problems = (LineProblem(line=2, code="gone", message="no é"), LineProblem(line=None, code="x", message=""))
    view = replace(VIEW, event=BatchEvent.FOUND_FAILED, results_paths=("/v1/a", "/v1/b"), problems=problems)
    with store.write() as tx:
        shards.set_batch(tx, batch_id, **shards.view_values(view))
        row = shards.batch(tx, batch_id)
    assert (row.results_paths, row.problems, row.input_file_id) == (("/v1/a", "/v1/b"), problems, "file-1")


def test_why_a_batch_was_refused_is_kept_up_to_a_limit_and_without_nul(store: Store) -> None:
    """Its create was answered: were the answer not written, the batch would be a doubt."""
    add_run(store)
    add_shard(store)
    batch_id = add_batch(store)
    with store.write() as tx:
        shards.set_batch(tx, batch_id, error="no\0 " + "x" * 2000)
        error = tx.execute(select(BATCHES.c.error)).scalar_one()
    assert error == "no\N{REPLACEMENT CHARACTER} " + "x" * 996


def test_batches_that_are_not_over_are_counted(store: Store) -> None:
    add_run(store)
    add_shard(store)
    add_shard(store, shard_id="lt2")
    for state in BatchState:
        add_batch(store, "lt2", state=state)
    with store.read() as tx:
        assert shards.open_batches(tx, "anthropic", but=SHARD) == len(AT_PROVIDER)
        assert shards.open_batches(tx, "anthropic", but=ShardId("lt2")) == 0
        assert shards.open_batches(tx, "openai", but=SHARD) == 0


def test_one_batch_of_the_provider_is_never_two_rows(store: Store) -> None:
    add_run(store)
    add_shard(store)
    add_batch(store, provider_batch_id="msgbatch_1")
    with pytest.raises(IntegrityError):
        add_batch(store, provider_batch_id="msgbatch_1", role=Role.SUSPECT)
    add_batch(store)
    add_batch(store)  # none yet is none


@pytest.mark.parametrize(
    "seqs", [[0, 1, 2, 3], [3], [0, 2, 3], list(range(0, 4500, 2)), list(range(4500)), list(range(7, 4100))]
)
def test_bodies_stream_in_ordinal_order(store: Store, seqs: list[int]) -> None:
    add_plan(store, max(seqs) + 1)
    found = list(shards.bodies(store, PLAN, array("q", seqs)))
    assert [(body.seq, body.key, body.body_at & 0xFFFFFFFF) for body in found] == [
        (seq, f"key {seq}", seq) for seq in seqs
    ]
    assert (found[0].kind, found[0].body_bytes, found[0].ceiling, found[0].tries) == ("line", 1000, 100, 0)
    assert (found[0].lot, found[0].model, found[0].realtime) == (0, MODEL, 200)
    assert (found[0].input_tokens, found[0].output_tokens) == (30, 60)


def test_a_member_without_a_row_is_ours(store: Store) -> None:
    add_plan(store, 2)
    with pytest.raises(AssertionError, match="every member has its row"):
        list(shards.bodies(store, PLAN, array("q", [0, 1, 2])))


def test_tries_and_ceilings_of_members(store: Store) -> None:
    add_plan(store, 5)
    with store.write() as tx:
        shards.count_try(tx, PLAN, 1)
        shards.count_try(tx, PLAN, 1)
        shards.count_try(tx, PLAN, 4)
        assert shards.tries_of(tx, PLAN, array("q", [0, 1, 3])) == {1: 2}
        assert shards.ceilings_of(tx, PLAN, [0, 4]) == [100, 100]
        assert shards.ceilings_of(tx, PLAN, []) == []


def test_models_of_members_are_by_ordinal(store: Store) -> None:
    two_lots(store)
    assert shards.models_of(store, PLAN, array("q", [1, 2])) == [MODEL, MODEL], "the plan has one, so no row is read"
    with store.write() as tx:
        plans.add_kinds(tx, PLAN, [("line", "openai", OTHER.model)])
    assert shards.models_of(store, PLAN, array("q", [1, 2])) == [OTHER.model, MODEL]


# states of requests


def test_only_what_is_in_the_named_state_is_moved(store: Store) -> None:
    add_plan(store, 4)
    assert set_states(store, "retry", [0, 1]) == 2
    assert set_states(store, "trying", [0, 1, 2], was="retry") == 2
    assert set_states(store, "trying", [], was="retry") == 0
    assert states(store) == ["trying", "trying", "pending", "pending"]
    with store.write() as tx:
        assert shards.set_all(tx, PLAN, state="canceled", was=["pending", "retry"]) == 2
    assert states(store) == ["trying", "trying", "canceled", "canceled"]


# landing


def test_what_landed_is_written_with_its_request(store: Store) -> None:
    add_run(store)
    add_shard(store)
    land(
        store,
        [
            landed(0),
            landed(2, outcome="errored", code="api_error", message="no", usage=None, cost=Nanos(0), state="retry"),
        ],
    )
    assert states(store) == ["succeeded", "pending", "retry"]
    with store.read() as tx:
        assert sorted(shards.landed_ordinals(tx, SHARD)) == [0, 2]
        assert shards.landed_succeeded(tx, SHARD) == 1
        assert shards.landed_counts(tx, RUN) == {SHARD: 2}
        first = tx.execute(select(ATTEMPTS).where(ATTEMPTS.c.ordinal == 0)).one()
    assert (first.input_tokens, first.output_tokens, first.cache_read_tokens) == (100, 20, 7)
    assert (first.cache_write_5m_tokens, first.cache_write_1h_tokens, first.reasoning_tokens) == (5, 3, 2)
    assert (first.cost_nanos, first.at, first.code) == (40, NOW, "end_turn")


def test_landing_counts_a_try(store: Store) -> None:
    add_run(store)
    add_shard(store)
    land(store, [landed(1)])
    with store.read() as tx:
        assert list(tx.execute(select(REQUESTS.c.tries).order_by(REQUESTS.c.seq)).scalars()) == [0, 1, 0]


def balances(store: Store) -> tuple[int, int]:
    with store.read() as tx:
        assert books.imbalances(tx) == []
        account = books.find_account(tx, books.AccountId("run:r_1"))
    assert account is not None
    return account.held, account.spent


def test_landing_twice_raises_and_rolls_everything_back(store: Store) -> None:
    """Promise 2: outcome, state and settlement are one transaction, so a row that comes twice buys nothing twice."""
    add_run(store)
    row = add_shard(store)

    def collect(ordinals: list[int], rows: list[Any]) -> None:
        with store.write() as tx:
            settlements = [
                Settlement(ordinal=ordinal, amount=Nanos(40), reason=books.Reason.BATCH) for ordinal in ordinals
            ]
            books.settle(store, tx, row.hold_id, settlements, shard_id=SHARD, at=NOW)
            shards.land(store, tx, shard_id=row.shard_id, plan_id=row.plan_id, rows=rows, at=NOW)

    collect([0], [landed(0)])
    assert balances(store) == (260, 40)
    before = states(store)
    with pytest.raises(IntegrityError):  # the settlement itself is twice
        collect([0, 1], [landed(0), landed(1)])
    with pytest.raises(IntegrityError):  # and so would the outcome be
        collect([1], [landed(1), landed(0, state="failed")])
    assert balances(store) == (260, 40)
    assert states(store) == before == ["succeeded", "pending", "pending"]
    with store.read() as tx:
        assert shards.landed_ordinals(tx, SHARD) == [0]


def test_failed_ones_go_out_again_but_for_the_hopeless(store: Store) -> None:
    add_run(store, 4)
    add_shard(store, [0, 1, 2])
    errored: dict[str, Any] = {"outcome": "errored", "usage": None, "cost": Nanos(0), "state": "failed"}
    land(
        store,
        [
            landed(0, **(errored | {"code": "api_error"})),
            landed(1, **(errored | {"code": "invalid_request_error"})),
            landed(2, **(errored | {"outcome": "canceled", "code": "", "state": "canceled"})),
        ],
    )
    with store.write() as tx:
        assert shards.send_again(tx, PLAN, ["invalid_request_error"]) == (2, 1)
    assert states(store) == ["retry", "failed", "retry", "pending"]
    with store.read() as tx:
        assert list(tx.execute(select(REQUESTS.c.tries).order_by(REQUESTS.c.seq)).scalars()) == [0, 1, 0, 0]
    with store.write() as tx:
        assert shards.send_again(tx, PLAN, ["invalid_request_error"]) == (0, 1)


# counts for reports


def test_what_is_out_is_what_was_sent_and_has_not_landed(store: Store) -> None:
    add_run(store, 6)
    add_shard(store)
    add_shard(store, [3], shard_id="lt2", route="realtime", state=AttemptState.RESERVED)
    add_shard(store, [4], shard_id="lt3", state=AttemptState.DROPPED)
    with store.read() as tx:
        assert shards.out_count(tx, RUN) == 4
    land(store, [landed(0), landed(1)])
    with store.read() as tx:
        assert shards.out_count(tx, RUN) == 2
    with store.write() as tx:
        shards.set_shard(tx, SHARD, state=AttemptState.LANDED)
        assert shards.out_count(tx, RUN) == 1


def test_what_of_a_wave_is_unanswered_is_counted(store: Store) -> None:
    add_run(store, 6)
    for state, seq in (("retry", 0), ("trying", 1), ("succeeded", 2), ("failed", 3), ("canceled", 4)):
        set_states(store, state, [seq])
    with store.read() as tx:
        assert shards.unanswered(tx, PLAN, 0) == 3
        assert shards.unanswered(tx, PLAN, 1) == 0


def test_what_is_held_for_shards_that_are_not_over_is_summed(store: Store) -> None:
    """A doubt's hold is none of these: nothing of it comes back by itself."""
    add_run(store, 6)
    row = add_shard(store, amount=300)
    add_shard(store, [3], shard_id="lt2", route="realtime", state=AttemptState.RESERVED, amount=20)
    add_shard(store, [4], shard_id="lt3", state=AttemptState.LANDED, amount=1000)
    with store.write() as tx:
        books.split(
            tx,
            row.hold_id,
            Nanos(100),
            payer=PAYER,
            payee=PAYEE,
            reason=Reason.DOUBT,
            shard_id=SHARD,
            at=NOW,
        )
        assert shards.held_open(tx, RUN) == 200 + 20
        assert shards.held_open(tx, "r_2") == 0


def test_how_long_real_time_took_by_wave(store: Store) -> None:
    """Blocks that landed; the first of each kind went alone and tells nothing of speed."""
    add_run(store, 9)
    done = {"route": "realtime", "state": AttemptState.LANDED}
    add_shard(store, [0, 1], **done)
    add_shard(store, [2], shard_id="lt2", **done)
    add_shard(store, [3], shard_id="lt3", **done, kind="line")
    add_shard(store, [4], shard_id="lt4", route="realtime")
    add_shard(store, [5], shard_id="lt5", state=AttemptState.LANDED)
    with store.write() as tx:
        for number, shard_id in enumerate([SHARD, "lt2", "lt3", "lt5"]):
            shards.set_shard(tx, shard_id, landed_at=NOW + (number + 5) * SECOND)
        (span,) = shards.realtime_spans(tx, RUN)
    assert (span.wave, span.requests, span.begun_at, span.ended_at) == (0, 3, NOW, NOW + 6 * SECOND)


def test_the_next_look_is_the_earliest(store: Store) -> None:
    add_run(store)
    add_shard(store)
    with store.read() as tx:
        assert shards.next_look(tx, RUN) is None
    add_batch(store, next_at=NOW + 9 * SECOND)
    add_batch(store, next_at=NOW + 5 * SECOND)
    add_batch(store, next_at=NOW + SECOND, landed_at=NOW)
    with store.read() as tx:
        assert shards.next_look(tx, RUN) == NOW + 5 * SECOND


def test_what_was_bought_cheaply_is_summed_by_who_sold_it_and_how(store: Store) -> None:
    add_run(store, 6)
    add_shard(store)
    add_shard(store, [3], shard_id="lt2", route="realtime")
    add_shard(store, [4], shard_id="lt3", route="2h", provider="openai")
    land(store, [landed(0), landed(1, cost=Nanos(2))])
    land(store, [landed(0, seq=3, cost=Nanos(900))], shard_id="lt2")
    land(store, [landed(0, seq=4, cost=Nanos(5))], shard_id="lt3")
    with store.read() as tx:
        assert sorted(shards.cheap_spent(tx, RUN)) == [("anthropic", MODEL, "batch", 42), ("openai", MODEL, "2h", 5)]


def test_when_things_happened_to_a_shard(store: Store) -> None:
    add_run(store, 6)
    add_shard(store)
    add_batch(store, submitting_at=NOW, accepted_at=NOW + SECOND, over_at=NOW + 9 * SECOND)
    add_batch(store, role=Role.DUPLICATE, submitting_at=NOW + SECOND)  # tells nothing of the shard
    add_shard(store, [3], shard_id="lt2", route="realtime", state=AttemptState.LANDED)
    add_shard(store, [4], shard_id="lt3", state=AttemptState.DROPPED)
    with store.write() as tx:
        shards.set_shard(tx, "lt2", landed_at=NOW + 2 * SECOND, delivered_at=NOW + 3 * SECOND)
        found = {moments.route: moments for moments in shards.moments(tx, RUN)}
        assert len(shards.moments(tx, RUN)) == 2
    nothing = shards.Moments(
        route="batch",
        created_at=NOW,
        submitting_at=None,
        accepted_at=None,
        over_at=None,
        landed_at=None,
        delivered_at=None,
    )
    assert found == {
        "batch": replace(nothing, submitting_at=NOW, accepted_at=NOW + SECOND, over_at=NOW + 9 * SECOND),
        "realtime": replace(nothing, route="realtime", landed_at=NOW + 2 * SECOND, delivered_at=NOW + 3 * SECOND),
    }
