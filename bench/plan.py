"""How long a plan takes and how much memory: batch files of 1 KB bodies, local estimates, a store on a real disk.

python bench/plan.py 10000 100000 1000000
"""
# ruff: noqa: ASYNC240, PLC0415 (imports of the measured are late and outside the meter; stages are seen from within)

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Meter, batch_file, child, memory_mb, scratch, table

NOBODY = "http://127.0.0.1:9"


async def one(source: Path, folder: Path) -> dict[str, object]:
    """Plan once. The clock is the machine's own: planning calls nobody."""
    from lowtide.engine import Engine
    from lowtide.settings import read_settings
    from lowtide.workload import WorkloadOptions
    from lowtide.workloads.batch_file import WORKLOAD

    settings = read_settings({"store": str(folder), "base_url": NOBODY}, {"HOME": str(folder)}, folder)
    engine = Engine.start(settings, {"batch": WORKLOAD}, {"LOWTIDE_ONLY_LOOPBACK": "1"})
    start_mb = memory_mb("VmRSS")
    meter = Meter()
    planned = await engine.plan(source, options=WorkloadOptions())
    spent = meter.read()
    peak = memory_mb()
    await engine.close()
    return {
        "requests": planned.plan.requests,
        **spent,
        "cpu_us_a_request": spent["cpu_s"] / planned.plan.requests * 1e6,
        "peak_mb": peak,
        "start_mb": start_mb,
        "input_mb": source.stat().st_size / 2**20,
        "store_mb": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20,
    }


def show(results: list[dict[str, object]]) -> None:
    """Print the table."""
    rows = [
        [
            f"{result['requests']:,} requests",
            f"{result['cpu_s']:.1f}",
            f"{result['wall_s']:.1f}",
            f"{result['cpu_us_a_request']:.1f}",
            f"{result['peak_mb']:.0f}",
            f"{result['input_mb']:.0f}",
            f"{result['store_mb']:.0f}",
        ]
        for result in results
    ]
    table("A plan", ["", "CPU s", "wall s", "us a request", "peak MB", "input MB", "store MB"], rows)


def run(counts: list[int]) -> list[dict[str, object]]:
    """Every size, each in a process of its own."""
    results = []
    with scratch() as folder:
        for count in counts:
            source = batch_file(folder, count)
            results.append(child(__file__, "--child", str(source)))
            source.unlink()
    show(results)
    return results


def main(words: list[str]) -> None:
    if words[:1] == ["--child"]:
        source = Path(words[1])
        with TemporaryDirectory(dir=source.parent) as folder:
            print(json.dumps(asyncio.run(one(source, Path(folder)))))
        return
    run([int(word) for word in words] or [10_000, 100_000, 1_000_000])


if __name__ == "__main__":
    main(sys.argv[1:])
