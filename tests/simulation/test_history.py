"""What earlier runs teach, as it is read back from the store: lengths, truncations, losses, by kind, model and run."""

import asyncio

import pytest
from life import MODEL, Life
from sqlalchemy import func, select

from lowtide.engine import Engine
from lowtide.store import history
from lowtide.store.schema import ATTEMPTS, REQUESTS
from lowtide.workload import WorkloadOptions
from lowtide_simulator.answers import Chances


async def run(life: Life, engine: Engine) -> str:
    """Plan and run the life's input once more; gives the plan's id."""
    planned = await engine.plan(life.folder / "in.tree", options=WorkloadOptions(model=MODEL))
    run_id = await engine.start_run(planned.plan.plan_id, cap=None, out=None, fresh=True)
    await engine.worker([run_id]).work()
    return planned.plan.plan_id


def test_runs_are_read_newest_first_with_what_was_cut_and_lost() -> None:
    options = {"chances": Chances(max_tokens=0.3), "errored_share": 0.2}
    life = Life(seed=41, widths=(30, 10), options=options, settings={"tries_max": 1})

    async def live() -> None:
        engine = life.engine()
        try:
            first, second = [await run(life, engine) for _ in range(2)]
            with engine.store.read() as tx:
                newest = history.newest_runs(tx, workload="tree", source=str(life.folder / "in.tree"))
                elsewhere = history.newest_runs(tx, workload="tree", source="/elsewhere")
                seen = history.requests_seen(tx, newest)
                states = dict(tx.execute(select(REQUESTS.c.state, func.count()).group_by(REQUESTS.c.state)).all())
                codes = dict(tx.execute(select(ATTEMPTS.c.code, func.count()).group_by(ATTEMPTS.c.code)).all())
        finally:
            engine.store.close()
        assert (newest, elsewhere) == ([second, first], [])
        assert set(seen.answers) == {("kind0", MODEL), ("kind1", MODEL)}
        assert [each.plan_id for each in seen.answers["kind0", MODEL]] == [second, first]
        answers = [each for found in seen.answers.values() for each in found]
        assert sum(len(each.lengths) for each in answers) == states["succeeded"]
        assert sum(each.cut for each in answers) == codes["max_tokens"] > 0
        assert (seen.asked, seen.lost) == (80, states["failed"])
        assert seen.lost > 0

    asyncio.run(live())
    life.bury()


def test_of_a_large_run_a_sample_is_read_from_all_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(seed=42, widths=(35,))
    monkeypatch.setattr(history, "ANSWERS_MAX", 10)

    async def live() -> None:
        engine = life.engine()
        try:
            plan_id = await run(life, engine)
            with engine.store.read() as tx:
                seen = history.requests_seen(tx, [plan_id])
                rows = select(REQUESTS.c.seq, ATTEMPTS.c.output_tokens).join(
                    ATTEMPTS, (ATTEMPTS.c.shard_id == REQUESTS.c.shard_id) & (ATTEMPTS.c.ordinal == REQUESTS.c.ordinal)
                )
                lengths = dict(tx.execute(rows).all())
        finally:
            engine.store.close()
        ((found,),) = seen.answers.values()
        assert sorted(found.lengths) == sorted(lengths[seq] for seq in range(0, 35, 4))
        assert seen.asked == 9

    asyncio.run(live())
    life.bury()


def test_of_a_plan_that_never_ran_nothing_is_learned() -> None:
    life = Life(seed=43, widths=(5,))

    async def live() -> None:
        engine = life.engine()
        try:
            planned = await engine.plan(life.folder / "in.tree", options=WorkloadOptions(model=MODEL))
            with engine.store.read() as tx:
                assert history.newest_runs(tx, workload="tree", source="") == []
                seen = history.requests_seen(tx, [planned.plan.plan_id, "p_gone"])
            assert (seen.answers, seen.asked, seen.lost) == ({}, 0, 0)
        finally:
            engine.store.close()

    asyncio.run(live())
    life.bury()
