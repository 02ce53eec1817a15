"""The official SDKs judge the simulator: each provider's newest, and older ones in environments of their own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
ANTHROPIC, OPENAI = HERE / "sdk_script.py", HERE / "openai_sdk_script.py"
JUDGES = {
    "anthropic-2": (ANTHROPIC, Path(sys.executable)),
    "anthropic-1": (ANTHROPIC, ROOT / ".venvs" / "anthropic-1" / "bin" / "python"),
    "anthropic-0.75": (ANTHROPIC, ROOT / ".venvs" / "anthropic-0.75" / "bin" / "python"),
    "openai-3": (OPENAI, Path(sys.executable)),
    "openai-2": (OPENAI, ROOT / ".venvs" / "openai-2" / "bin" / "python"),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_an_official_sdk_can_do_everything(judge: str, start_simulator: Callable[..., str]) -> None:
    script, python = JUDGES[judge]
    assert python.exists(), f"the SDK's environment is missing: make .venvs/{judge}"
    address = start_simulator("--seed", "7", "--results-delay", "60-3600")
    done = subprocess.run(
        [python, "-W", "ignore", script, address], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["version"].startswith(judge.partition("-")[2])
    written = [
        line.split("(")[0].removeprefix("def ")
        for line in script.read_text().splitlines()
        if line.startswith("def step_")
    ]
    assert report["steps"] == written
