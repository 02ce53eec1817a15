"""Says in one line which recordings are not here; the samples beside this file always are."""

from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out at collection."""
    for name in ("api/sessions", "costs/usage-bodies.jsonl"):
        if not (CORPUS / name).exists():
            terminalreporter.write_line(f"left out: recordings beyond the samples (no {name})")
