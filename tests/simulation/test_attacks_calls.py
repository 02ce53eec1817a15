"""Attacks on what is promised of real-time calls: replies that are no answers, limits that are met, files that fill up.

As in ``test_attacks``: small lives judged by the simulator's bill; each test here once broke something.
"""

import asyncio
import json

import pytest
from life import GPT, MODEL, Life
from test_attacks import Tamper, Tampered, begin, live, tamper
from test_attacks_lanes import Go, few_turns

from lowtide.reports import RunReport
from lowtide.store import Store, runs, segments
from lowtide.wire import HttpCall, HttpReply


@pytest.mark.parametrize("records", [2, 3])
def test_an_answer_is_kept_when_its_file_fills_up_while_replies_are_settled(monkeypatch, records):
    """The full file was closed before its last answers were written to it: they were paid, and could not be read."""
    monkeypatch.setattr(segments, "RECORDS_PER_BLOCK", records)
    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", 1000)
    life = Life(seed=61, widths=(9, 2), settings={"route": "realtime"})
    report = life.live()
    assert (report.state, report.answered) == ("done", 11)
    life.judge(report)
    assert len(list((life.folder / "store" / "segments").iterdir())) > 4, "files filled up"
    life.bury()


def judged(life: Life, door: Tamper) -> RunReport:
    """Live once with that door, and judge."""
    found: list[RunReport] = []

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, door))
        run_id = await begin(life, engine)
        await asyncio.wait_for(engine.worker([run_id], on_turn=few_turns(200)).work(), 20)
        found.append(await engine.run_report(run_id))
        engine.store.close()

    live(body)
    life.judge(found[0])
    return found[0]


@pytest.mark.parametrize("model", [MODEL, GPT])
def test_an_answer_that_says_more_tokens_than_the_books_can_hold_is_a_doubt(model):
    """Its cost did not fit into a row: the process ended, all replies with it were lost, and so again after each start."""
    life = Life(seed=62, widths=(5,), models=(model,), settings={"route": "realtime"})
    met: list[str] = []

    async def boaster(call: HttpCall, go: Go) -> HttpReply:
        reply = await go()
        if call.body is None or b"node 0.2:" not in call.body or met:
            return reply
        met.append(call.path)
        said = json.loads(reply.body)
        said["usage"]["output_tokens"] = 10**18
        return HttpReply(status=200, headers=reply.headers, body=json.dumps(said).encode())

    report = judged(life, boaster)
    assert (report.state, report.answered, set(report.nothing_bought)) == ("done", 5, {"doubt"})
    life.bury()


def test_what_a_provider_says_is_kept_up_to_a_limit():
    """A refusal of millions of letters stood whole in the history of its run, once for each time it was said."""
    life = Life(seed=63, widths=(4,), settings={"route": "realtime"})
    words = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "no " * 1_000_000}})

    async def talker(call: HttpCall, go: Go) -> HttpReply:
        if call.body is not None and b"node 0.0:" in call.body:
            return HttpReply(status=400, headers={}, body=words.encode())
        return await go()

    report = judged(life, talker)
    assert (report.answered, report.failed) == (3, 1)
    store = Store(life.folder / "store", durable=False).open()
    with store.read() as tx:
        assert max(len(text) for _, _, _, text in runs.events_after(tx, report.run_id, 0)) < 3000
    store.close()
    life.bury()


def test_a_call_that_breaks_by_our_own_fault_ends_the_worker():
    """What is no failure of the network went unseen, and the run waited for that reply for ever."""
    life = Life(seed=64, widths=(4,), settings={"route": "realtime"})

    async def broken(call: HttpCall, go: Go) -> HttpReply:
        if call.body is not None and b"node 0.2:" in call.body:
            raise ValueError("no header may have that")
        return await go()

    async def body() -> None:
        engine = life.engine()
        tamper(engine, Tampered(life, broken))
        run_id = await begin(life, engine)
        with pytest.raises(ValueError, match="no header may have that"):
            await asyncio.wait_for(engine.worker([run_id]).work(), 20)
        engine.store.close()

    live(body)
    life.bury()


def test_calls_of_several_models_keep_one_limit_of_calls_at_once():
    """Each model had the whole limit: what had no connection waited for one behind its written intent, up to a doubt."""
    models = (MODEL, "claude-sonnet-5")
    life = Life(seed=65, widths=(24,), models=models, settings={"route": "realtime", "in_flight_max": 4})
    out = [0, 0]  # now, at most

    async def counted(call: HttpCall, go: Go) -> HttpReply:
        if call.path != "/v1/messages":
            return await go()
        out[0] += 1
        out[1] = max(out)
        for _ in range(5):
            await asyncio.sleep(0)
        reply = await go()
        out[0] -= 1
        return reply

    report = judged(life, counted)
    assert (report.state, report.answered, out) == ("done", 24, [0, 4])
    life.bury()


def test_nothing_of_a_run_that_was_canceled_stays_in_memory():
    """A worker of many runs kept the bodies of every block that was given up."""
    life = Life(seed=66, widths=(9,), settings={"route": "realtime", "in_flight_max": 1})

    async def body() -> None:
        engine = life.engine()
        run_id = await begin(life, engine)
        worker = engine.worker([run_id])
        worker._prepare()
        blocks = worker.doors["anthropic"].flight.blocks
        seen = 0
        for _ in range(200):
            turn = await worker.turn()
            seen = max(seen, len(blocks))
            if seen and not (await engine.run_report(run_id)).over:
                await engine.cancel(run_id)
            if not turn.open_runs:
                break
            if turn.wake_at is not None:
                await engine.clock.sleep_until(turn.wake_at)
        assert (seen, blocks) == (1, {})
        engine.store.close()

    live(body)
    life.bury()
