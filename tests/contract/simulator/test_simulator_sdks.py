"""The official SDKs judge the simulator: the newest, one of 1.x, and 0.75, each in an environment of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name("sdk_script.py")
INTERPRETERS = {
    "2": Path(sys.executable),
    "1": ROOT / ".venvs" / "anthropic-1" / "bin" / "python",
    "0.75": ROOT / ".venvs" / "anthropic-0.75" / "bin" / "python",
}


@pytest.mark.parametrize("version", INTERPRETERS)
def test_an_official_sdk_can_do_everything(version: str, start_simulator: Callable[..., str]) -> None:
    python = INTERPRETERS[version]
    assert python.exists(), f"the SDK's environment is missing: make .venvs/anthropic-{version}"
    address = start_simulator("--seed", "7", "--results-delay", "60-3600")
    done = subprocess.run(
        [python, "-W", "ignore", SCRIPT, address], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["version"].startswith(version)
    written = [
        line.split("(")[0].removeprefix("def ")
        for line in SCRIPT.read_text().splitlines()
        if line.startswith("def step_")
    ]
    assert report["steps"] == written
