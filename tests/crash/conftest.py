"""Prints how often each point was hit."""

from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    killed = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "killed":
                    killed.update(value)
    if killed:
        terminalreporter.section(f"killed with SIGKILL {sum(killed.values())} times")
        for point, count in sorted(killed.items()):
            terminalreporter.line(f"{count:5d}  {point}")
