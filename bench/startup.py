"""How fast a command is there: wall, CPU, modules imported; instructions, when asked for.

python bench/startup.py
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measure import scratch, summary, table

ROUNDS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import lowtide": ["-c", "import lowtide"],
    "lowtide --help": ["-m", "lowtide.cli", "--help"],
    "lowtide --version": ["-m", "lowtide.cli", "--version"],
    "lowtide status": ["-m", "lowtide.cli", "status"],
    "lowtide prices MODEL": ["-m", "lowtide.cli", "prices", "claude-sonnet-5-5"],
}


def once(words: list[str], environment: dict[str, str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    spent, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def instructions(words: list[str], environment: dict[str, str], folder: Path) -> float | None:
    """Millions of instructions as callgrind counts them, ``None`` without valgrind. Steady, and half a minute each."""
    if not shutil.which("valgrind"):
        return None
    counted = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words]
    done = subprocess.run(counted, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found[1]) / 1e6 if found else None


def modules(words: list[str], environment: dict[str, str], folder: Path) -> int:
    """How many modules the interpreter imports."""
    counted = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(counted, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return sum(line.startswith("import time:") for line in done.stderr.splitlines()) - 1


def run(*, count_instructions: bool = False) -> dict[str, dict[str, object]]:
    """Every command, in turns."""
    with scratch() as folder:
        environment = {
            **os.environ,
            "LOWTIDE_STORE": str(folder / "store"),
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: compiled once, at the first start
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for words in COMMANDS.values():
            once([sys.executable, *words], environment, folder)  # files are in memory, the store is made
        for _ in range(ROUNDS):
            for name, words in COMMANDS.items():
                seen[name].append(once([sys.executable, *words], environment, folder))
        results: dict[str, dict[str, object]] = {
            name: {
                "wall_ms": summary(wall * 1000 for wall, _ in seen[name]),
                "cpu_ms": summary(cpu * 1000 for _, cpu in seen[name]),
                "instructions_millions": instructions([sys.executable, *words], environment, folder)
                if count_instructions
                else None,
                "modules": modules(words, environment, folder),
            }
            for name, words in COMMANDS.items()
        }
    show(results)
    return results


def show(results: dict[str, dict[str, object]]) -> None:
    """Print the table."""
    rows = []
    for name, result in results.items():
        count = result["instructions_millions"]
        rows.append(
            [
                name,
                f"{result['wall_ms']['best']:.0f}",
                f"{result['wall_ms']['median']:.0f}",
                f"{result['cpu_ms']['best']:.0f}",
                "-" if count is None else f"{count:,.0f}",
                f"{result['modules']}",
            ]
        )
    head = ["", "wall ms, best", "median", "CPU ms, best", "M instructions", "modules"]
    table(f"Starting, {ROUNDS} rounds", head, rows)


if __name__ == "__main__":
    print(json.dumps(run(count_instructions="--instructions" in sys.argv), indent=1))
