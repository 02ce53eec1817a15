"""Everything that ``make bench`` measures, in under five minutes; writes RESULTS.json and prints tables.

python bench/run.py                the usual sizes
python bench/run.py --large        also plans a million requests and runs a million through batches (an hour)
"""

import json
import sys
from pathlib import Path

import batch
import caching
import deadlines
import pacing
import plan
import startup
from measure import machine

RESULTS = Path(__file__).with_name("RESULTS.json")


def main() -> None:
    large = "--large" in sys.argv
    results = {"machine": machine(), "startup": startup.run()}
    results["plan"] = plan.run([10_000, 100_000, *([1_000_000] if large else [])])
    results["batch"] = batch.run([10_000, 100_000, *([1_000_000] if large else [])])
    results["caching"] = caching.run()
    results["deadlines"] = deadlines.run(100)
    results["pacing"] = pacing.run(1)
    load = Path("/proc/loadavg").read_text(encoding="ascii").split()[:3]
    results["machine"]["load_after"] = [float(text) for text in load]
    RESULTS.write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    print(f"\nwritten: {RESULTS}")


if __name__ == "__main__":
    main()
