"""What every benchmark uses: a meter of CPU and memory, input of a given size, children that report one JSON line.

CPU is user + system of the client's own process, memory is its peak resident size; imports are left out of the CPU.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
MODEL = "claude-sonnet-5-5"
OUTPUT_TOKENS_MAX = 600
BODY_BYTES = 1024
WORDS = (HERE / "words.txt").read_text(encoding="utf-8").split()


class Meter:
    """CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """Seconds of both."""
        return {"cpu_s": time.process_time() - self.cpu, "wall_s": time.perf_counter() - self.wall}


def memory_mb(field: str = "VmHWM") -> float:
    """Peak (``VmHWM``) or present (``VmRSS``) resident memory of this process, in MB of 2**20."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def bodies(count: int) -> Iterator[dict[str, object]]:
    """Bodies of about 1 KB: words drawn by a seed, so that they compress as prose does."""
    chance = random.Random(1)
    for number in range(count):
        prose = f"{number} " + " ".join(chance.choices(WORDS, k=200))
        yield {
            "model": MODEL,
            "max_tokens": OUTPUT_TOKENS_MAX,
            "messages": [{"role": "user", "content": prose[: BODY_BYTES - 100]}],
        }


def batch_file(folder: Path, count: int) -> Path:
    """A batch file of ``count`` requests; made once."""
    path = folder / f"{count}.jsonl"
    if not path.exists():
        with path.open("w", encoding="utf-8") as file:
            for number, params in enumerate(bodies(count)):
                file.write(json.dumps({"custom_id": f"request-{number}", "params": params}) + "\n")
    return path


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a real disk, wiped at the end."""
    with tempfile.TemporaryDirectory(prefix="lowtide-bench-", dir="/var/tmp") as name:
        yield Path(name)


def child(*words: str, timeout: float = 3600) -> dict[str, object]:
    """Run one measured process; its last line is its report."""
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, timeout=timeout, check=True)
    report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return report


def summary(values: Iterable[float]) -> dict[str, float]:
    """Best and median of the rounds."""
    seen = sorted(values)
    return {"best": seen[0], "median": statistics.median(seen), "rounds": len(seen)}


def machine() -> dict[str, object]:
    """What it ran on, and how busy that was."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown",
    )
    load = [float(text) for text in Path("/proc/loadavg").read_text().split()[:3]]
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return {"python": sys.version.split()[0], "processor": processor, "cores": cores, "load_before": load}


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print one table: the first column left, the others right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        cells = [
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells))
