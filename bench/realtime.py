"""N real-time calls at 256 in flight: lowtide, every answer durable before it is reported, beside bare aiohttp.

The bare loop posts the same bodies and decodes the replies, and keeps nothing. Both against a simulator of their own on
the machine's clock, over TCP; CPU is the client's alone. No limits of the provider: ``bench/pacing.py`` has those.

    python bench/realtime.py 5000                 both, three rounds, the best and the median
    python bench/realtime.py --profile 5000       cProfile of lowtide's running
"""
# ruff: noqa: PLC0415 (imports of the measured are late and outside the meter)

import asyncio
import cProfile
import io
import json
import pstats
import sys
from pathlib import Path

from measure import Meter, batch_file, bodies, child, memory_mb, scratch, summary
from simulator import Served

HEADERS = {"x-api-key": "sk-simulated", "anthropic-version": "2026-10-21", "content-type": "application/json"}
IN_FLIGHT = 256
ROUNDS = 3
PROFILE_LINES = 60


async def bare(address: str, count: int) -> dict[str, object]:
    """Post, read, decode; keep nothing."""
    import aiohttp
    import msgspec

    made = [msgspec.json.encode(body) for body in bodies(1_000)]
    gate = asyncio.Semaphore(IN_FLIGHT)
    tokens = 0

    async with aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as http:

        async def one(number: int) -> None:
            nonlocal tokens
            async with gate, http.post(f"{address}/v1/messages", data=made[number % 1_000]) as reply:
                answer = msgspec.json.decode(await reply.read())
                tokens += answer["usage"]["output_tokens"]

        await one(0)
        meter = Meter()
        await asyncio.gather(*(one(number) for number in range(count)))
        spent = meter.read()
    return {"who": "bare", **spent, "memory_mb": memory_mb(), "tokens": tokens}


async def lowtide(address: str, source: Path, store: Path, *, profile: bool) -> dict[str, object]:
    """Plan outside the meter, run inside it."""
    from lowtide.engine import Engine
    from lowtide.routing import Route, Wish
    from lowtide.settings import read_settings
    from lowtide.workload import WorkloadOptions
    from lowtide.workloads.batch_file import WORKLOAD

    key = store.with_suffix(".key")
    key.write_text("sk-simulated")
    key.chmod(0o600)
    flags = {"store": str(store), "base_url": address, "api_key": f"file:{key}", "in_flight_max": IN_FLIGHT}
    (store.parent / "lowtide.toml").write_text("[providers.anthropic]\nrequests_per_minute = 10_000_000\n")
    engine = Engine.start(read_settings(flags, {"HOME": str(store)}, store.parent), {"batch": WORKLOAD}, {})
    planned = await engine.plan(source, options=WorkloadOptions(), wish=Wish(route=Route.REALTIME))
    run_id = await engine.start_run(planned.plan.plan_id, cap=None, out=None, fresh=True)
    worker = engine.worker([run_id])
    sampler = cProfile.Profile()
    meter = Meter()
    if profile:
        sampler.enable()
    await worker.work()
    if profile:
        sampler.disable()
    spent = meter.read()
    report = await engine.run_report(run_id)
    assert report.state == "done", report.reason
    assert report.answered == report.planned, report
    await engine.close()
    if profile:
        out = io.StringIO()
        pstats.Stats(sampler, stream=out).sort_stats("tottime").print_stats(PROFILE_LINES)
        print(out.getvalue())
    return {"who": "lowtide", **spent, "memory_mb": memory_mb(), "answered": report.answered}


def measured(who: str, count: int, *, profile: bool = False) -> dict[str, object]:
    """One round of one of them, against a simulator of its own."""
    served = Served("-m", "lowtide_simulator", "--port", "0", "--clock", "system")
    try:
        with scratch() as folder:
            if who == "bare":
                return asyncio.run(bare(served.address, count))
            source = batch_file(folder, count)
            return asyncio.run(lowtide(served.address, source, folder / "store", profile=profile))
    finally:
        served.stop()


def main(words: list[str]) -> None:
    """Measure in turns, print a table."""
    count = int(words[-1]) if words and words[-1].isdigit() else 5_000
    if "--one" in words:
        print(json.dumps(measured(words[1], count)))
        return
    if "--profile" in words:
        print(json.dumps(measured("lowtide", count, profile=True)))
        return
    rounds = [{who: child(__file__, "--one", who, str(count)) for who in ("bare", "lowtide")} for _ in range(ROUNDS)]
    for who in ("bare", "lowtide"):
        cpu = summary(float(each[who]["cpu_s"]) / count * 1e6 for each in rounds)  # type: ignore[arg-type]
        rate = max(count / float(each[who]["wall_s"]) for each in rounds)  # type: ignore[arg-type]
        print(
            f"{who:8} {cpu['best']:7.0f} us of CPU a call (median {cpu['median']:.0f}), {rate:6.0f} calls a second at best"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
