"""A batch of N requests of 1 KB, bought by lowtide, the official SDK and a bare loop, in turns in the same run.

The bare loop encodes, posts, streams and decodes the same lines and keeps nothing. lowtide plans, runs, submits, collects
and settles them, all durable, in a store on a real disk. Each has a fresh simulator: a process of its own, over TCP.

    python bench/batch.py 10000 100000            all three, five rounds at most
    python bench/batch.py --profile 100000        cProfile of lowtide's planning and running
"""
# ruff: noqa: ASYNC240, PLC0415, SLF001 (imports of the measured are late and outside the meter; stages are seen from within)

import asyncio
import cProfile
import io
import json
import os
import pstats
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Meter, batch_file, bodies, child, memory_mb, scratch, summary, table
from simulator import Served

HEADERS = {"x-api-key": "sk-simulated", "anthropic-version": "2026-10-21", "content-type": "application/json"}
TURNAROUND = "600"
PROFILE_LINES = 45
PIECE = 250
SDK_UP_TO = 10_000  # it holds a batch in memory several times over


# the bare loop


async def bare(address: str, count: int) -> dict[str, object]:
    """Encode, post, stream, decode."""
    import aiohttp
    import msgspec

    encode, decode = msgspec.json.encode, msgspec.json.decode
    start_mb = memory_mb("VmRSS")
    # A thousand bodies in turn, made before the meter starts: drawing words is not the loop's work.
    made_before = list(bodies(1_000))

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"requests":['
        for start in range(0, count, PIECE):
            numbers = range(start, min(count, start + PIECE))
            pieces = [encode({"custom_id": f"r{number}", "params": made_before[number % 1_000]}) for number in numbers]
            yield (b"," if start else b"") + b",".join(pieces)
        yield b"]}"

    meter = Meter()
    place = f"{address}/v1/messages/batches"
    timeout = aiohttp.ClientTimeout(total=None)
    rows = tokens = size = 0
    async with aiohttp.ClientSession(timeout=timeout, headers=HEADERS) as http:
        async with http.post(place, data=lines()) as reply:
            made = await reply.json()
            assert reply.status == 200, made
        submitted = meter.read()
        async with http.post(f"{address}/_simulator/clock/advance", json={"seconds": 86_400}) as reply:
            assert reply.status == 200
        async with http.get(f"{place}/{made['id']}") as reply:
            assert (await reply.json())["processing_status"] == "ended"
        async with http.get(f"{place}/{made['id']}/results") as reply:
            rest = b""
            async for chunk in reply.content.iter_any():
                size += len(chunk)
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    row = decode(line)
                    rows += 1
                    tokens += row["result"]["message"]["usage"]["output_tokens"]
    spent = meter.read()
    assert rows == count, rows
    return {
        "who": "bare",
        **spent,
        "run_cpu_s": spent["cpu_s"],
        "stages": {"submit": submitted["cpu_s"], "collect": spent["cpu_s"] - submitted["cpu_s"]},
        "peak_mb": memory_mb(),
        "start_mb": start_mb,
        "answer_bytes": size // count,
    }


# the official SDK


def sdk(address: str, count: int) -> dict[str, object]:
    """The same through the newest official SDK, as its own documentation does it; it keeps nothing either."""
    import anthropic

    client = anthropic.Anthropic(api_key="sk-simulated", base_url=address, timeout=600)
    client.models.list(limit=1)  # its late imports are no work of a request
    start_mb = memory_mb("VmRSS")
    made_before = list(bodies(1_000))
    meter = Meter()
    requests = [{"custom_id": f"r{number}", "params": made_before[number % 1_000]} for number in range(count)]
    made = client.messages.batches.create(requests=requests)
    submitted = meter.read()
    client.post("/_simulator/clock/advance", body={"seconds": 86_400}, cast_to=object)
    assert client.messages.batches.retrieve(made.id).processing_status == "ended"
    rows = tokens = 0
    for row in client.messages.batches.results(made.id):
        rows += 1
        tokens += row.result.message.usage.output_tokens
    spent = meter.read()
    assert rows == count, rows
    return {
        "who": "sdk",
        **spent,
        "run_cpu_s": spent["cpu_s"],
        "stages": {"submit": submitted["cpu_s"], "collect": spent["cpu_s"] - submitted["cpu_s"]},
        "peak_mb": memory_mb(),
        "start_mb": start_mb,
    }


# lowtide


async def lowtide(address: str, source: Path, folder: Path, count: int, *, profile: bool = False) -> dict[str, object]:
    """Plan and run through the engine."""
    from lowtide.engine import Engine
    from lowtide.settings import read_settings
    from lowtide.worker import Worker
    from lowtide.workload import WorkloadOptions
    from lowtide.workloads.batch_file import WORKLOAD

    stages: dict[str, float] = defaultdict(float)
    carry_out = Worker._carry_out

    async def metered(self: Worker, run: object, command: object) -> None:
        here = Meter()
        await carry_out(self, run, command)
        stages[type(command).__name__] += here.read()["cpu_s"]

    Worker._carry_out = metered
    settings = read_settings({"simulator": address, "store": str(folder)}, {"HOME": str(folder)}, folder)
    _warm(folder.parent)
    start_mb = memory_mb("VmRSS")
    profiler = cProfile.Profile() if profile else None
    meter = Meter()
    engine = Engine.start(settings, {"batch": WORKLOAD}, {"LOWTIDE_ONLY_LOOPBACK": "1"})
    stages["open"] = meter.read()["cpu_s"]
    if profiler:
        profiler.enable()
    planned = await engine.plan(source, options=WorkloadOptions())
    planning = meter.read()
    stages["plan"] = planning["cpu_s"] - stages["open"]
    if profiler:
        profiler.disable()
        say_profile("plan", profiler)
        profiler = cProfile.Profile()
    after_plan_mb = memory_mb()
    running = Meter()
    run_id = await engine.start_run(planned.plan.plan_id, cap=None, out=None, fresh=True)
    if profiler:
        profiler.enable()
    await engine.worker([run_id]).work()
    if profiler:
        profiler.disable()
        say_profile("run", profiler)
    work = running.read()
    spent = meter.read()
    stages["between commands"] = work["cpu_s"] - sum(cpu for name, cpu in stages.items() if name[0].isupper())
    report = await engine.run_report(run_id)
    peak = memory_mb()
    assert report.state == "done", report.reason
    assert report.answered == count, report.answered
    await engine.close()
    return {
        "who": "lowtide",
        **spent,
        "run_cpu_s": work["cpu_s"],
        "stages": dict(stages),
        "plan_wall_s": planning["wall_s"],
        "run_wall_s": work["wall_s"],
        "peak_mb": peak,
        "plan_peak_mb": after_plan_mb,
        "start_mb": start_mb,
        "store_mb": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20,
        "spent_nanos": report.spent,
    }


def _warm(place: Path) -> None:
    """Import what is imported late and make a store once: imports are no work, and a store is made once in its life."""
    from lowtide.store import Store

    with TemporaryDirectory(dir=place) as folder:
        Store(Path(folder)).open().close()


def say_profile(name: str, profiler: cProfile.Profile) -> None:
    """Print where the time went, by own time."""
    for order in ("tottime", "cumulative"):
        out = io.StringIO()
        pstats.Stats(profiler, stream=out).sort_stats(order).print_stats(PROFILE_LINES)
        print(f"--- {name}, by {order}\n{out.getvalue()}", file=sys.stderr)


# rounds


def one(who: str, count: int, folder: Path, *, profile: bool = False) -> dict[str, object]:
    """One measured client against a fresh simulator."""
    served = Served("-m", "lowtide_simulator", "--results-delay", TURNAROUND)
    try:
        words = [
            __file__,
            "--child",
            who,
            served.address,
            str(batch_file(folder, count)),
            str(folder / "store"),
            str(count),
        ]
        report = child(*words, *(["--profile"] if profile else []))
        report["simulator_cpu_s"], report["simulator_peak_mb"] = served.cpu(), served.peak_mb()
    finally:
        served.stop()
    return report


def compare(count: int, rounds: int, folder: Path) -> dict[str, object]:
    """Rounds in turns, so that a busy machine is busy for both."""
    clients = ["bare", "sdk", "lowtide"] if count <= SDK_UP_TO else ["bare", "lowtide"]
    found: dict[str, list[dict[str, object]]] = {who: [] for who in clients}
    for _ in range(rounds):
        for who, reports in found.items():
            reports.append(one(who, count, folder))
    bare_runs, ours = found["bare"], found["lowtide"]
    figures = {
        who: {
            "cpu_us": summary(report["cpu_s"] / count * 1e6 for report in reports),
            "run_cpu_us": summary(report["run_cpu_s"] / count * 1e6 for report in reports),
            "wall_s": summary(report["wall_s"] for report in reports),
            "peak_mb": summary(report["peak_mb"] for report in reports),
            "start_mb": summary(report["start_mb"] for report in reports),
        }
        for who, reports in found.items()
    }
    stages = {
        name: summary(report["stages"].get(name, 0.0) / count * 1e6 for report in ours)["best"]
        for name in sorted({name for report in ours for name in report["stages"]})
    }
    ratio = {
        kind: {
            who: {how: figures[who][kind][how] / figures["bare"][kind][how] for how in ("best", "median")}
            for who in clients[1:]
        }
        for kind in ("cpu_us", "run_cpu_us", "wall_s", "peak_mb")
    }
    return {
        "requests": count,
        "rounds": rounds,
        "answer_bytes": bare_runs[0]["answer_bytes"],
        "figures": figures,
        "ratio": ratio,
        "stages_cpu_us_best": stages,
        "plan_peak_mb": max(report["plan_peak_mb"] for report in ours),
        "store_mb": ours[0]["store_mb"],
        "simulator_cpu_s": min(report["simulator_cpu_s"] for report in ours),
    }


def show(result: dict[str, object]) -> None:
    """Print one comparison."""
    count, figures = result["requests"], result["figures"]
    head = ["", *figures, *(f"{who} / bare" for who in list(figures)[1:])]
    rows = []
    for kind, unit in (
        ("cpu_us", "us CPU a request, plan to settled"),
        ("run_cpu_us", "us CPU a request, without the plan"),
        ("wall_s", "s wall"),
        ("peak_mb", "MB peak"),
    ):
        for how in ("best", "median"):
            values = [figures[who][kind][how] for who in figures]
            ratios = [f"{value / values[0]:.1f} x" for value in values[1:]]
            rows.append([f"{unit}, {how}", *(f"{value:.1f}" for value in values), *ratios])
    table(
        f"A batch of {count:,} requests, {result['rounds']} rounds",
        head,
        rows,
    )
    stages = sorted(result["stages_cpu_us_best"].items(), key=lambda item: -item[1])
    table("  lowtide's CPU by stage, best round", ["", "us a request"], [[name, f"{cpu:.2f}"] for name, cpu in stages])
    print(f"  store on disk {result['store_mb']:.0f} MB; answers of {result['answer_bytes']} bytes a line")


def rounds_of(count: int) -> int:
    """More rounds where they are cheap."""
    return 5 if count <= 10_000 else 2 if count <= 100_000 else 1


def run(counts: list[int]) -> list[dict[str, object]]:
    """Every size."""
    results = []
    with scratch() as folder:
        for count in counts:
            results.append(compare(count, rounds_of(count), folder))
            show(results[-1])
    return results


def main(words: list[str]) -> None:
    if words[:1] == ["--child"]:
        who, address, source, store, count = words[1:6]
        os.environ.pop("LOWTIDE_STOP_AT", None)
        if who == "bare":
            print(json.dumps(asyncio.run(bare(address, int(count)))))
            return
        if who == "sdk":
            print(json.dumps(sdk(address, int(count))))
            return
        with TemporaryDirectory(dir=Path(store).parent) as folder:
            report = asyncio.run(lowtide(address, Path(source), Path(folder), int(count), profile="--profile" in words))
        print(json.dumps(report))
    elif words[:1] == ["--profile"]:
        with scratch() as folder:
            for count in words[1:] or ["10000"]:
                print(json.dumps(one("lowtide", int(count), folder, profile=True), indent=1))
    else:
        print(json.dumps(run([int(word) for word in words] or [10_000, 100_000]), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
