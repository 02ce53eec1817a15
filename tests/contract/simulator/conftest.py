"""What the simulator's contract tests share: a simulator as a process of its own, and which corpora are here."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
OPENAPI = SHARED / "openapi" / "anthropic-openapi.json"
RECORDINGS = SHARED / "api" / "sessions"

NEEDS = {
    "test_simulator_openapi.py": OPENAPI,
    "test_simulator_openai_openapi.py": OPENAPI.with_name("openai-openapi.yaml"),
    "test_simulator_recordings.py": RECORDINGS,
    "test_simulator_openai_recordings.py": RECORDINGS,
}
collect_ignore = [name for name, corpus in NEEDS.items() if not corpus.exists()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line each what was left out."""
    for name in collect_ignore:
        terminalreporter.write_line(f"left out: {name} ({NEEDS[name].relative_to(ROOT.parent)} is not here)")


@pytest.fixture
def start_simulator() -> Iterator[Callable[..., str]]:
    """Start simulators with the given flags; each call returns an address, all are stopped at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> str:
        command = [sys.executable, "-m", "lowtide_simulator", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return str(json.loads(process.stdout.readline())["address"])

    yield start
    for process in running:
        process.terminate()
        assert process.wait(10) == 0, "a stopped simulator leaves with 0"
        assert process.stdout is not None
        assert process.stdout.read() == "", "standard output holds one line"
        process.stdout.close()
