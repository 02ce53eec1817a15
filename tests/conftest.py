"""What every test stands on: no host but this machine, no key, no file of the person who runs it, fixed laws of chance.

Set before any test module is imported, so that whatever reads the environment at import sees it, and so that processes
which tests start inherit it.
"""

import os
import shutil
import signal
import tempfile
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

HOME = tempfile.mkdtemp(prefix="lowtide-tests-")

# How much of a kind: make sim N=..., make crash N=..., make laws N=...
ASKED = ("LOWTIDE_LIVES", "LOWTIDE_FIRST_SEED", "LOWTIDE_KILLS", "LOWTIDE_EXAMPLES")
for _name in [name for name in os.environ if name.startswith(("LOWTIDE_", "ANTHROPIC_")) and name not in ASKED]:
    del os.environ[_name]
os.environ["LOWTIDE_ONLY_LOOPBACK"] = "1"  # the transport refuses every other host
for _name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
    os.environ[_name] = f"{HOME}/{_name.lower()}"
# Who is started in the background ignores SIGINT, and processes that tests start would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time, so that a commit passes or fails twice alike; with a number of examples, new ones each time.
_EXAMPLES = os.environ.get("LOWTIDE_EXAMPLES")
settings.register_profile(
    "lowtide",
    deadline=None,
    derandomize=_EXAMPLES is None,
    max_examples=int(_EXAMPLES or 80),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("lowtide")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    del config
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often each named point was hit by a kill -9; here, because only this file is read where the tests end."""
    killed: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "killed" and report.when == "call":
                    killed.update(value)
    if killed:
        terminalreporter.section(f"killed with SIGKILL {sum(killed.values())} times")
        for point, count in sorted(killed.items()):
            terminalreporter.line(f"{count:5d}  {point}")
