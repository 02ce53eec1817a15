"""``points``: named places where a test may stop us, and nothing at all in normal life."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lowtide
from lowtide import points


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    points.stop_with(None)


def test_nothing_happens_in_normal_life() -> None:
    points.arm_from_environment({})
    for name in points.POINTS:
        points.reached(name)


def test_a_name_that_is_no_point_is_ours() -> None:
    with pytest.raises(AssertionError, match="is not a named point"):
        points.reached("nowhere")
    with pytest.raises(AssertionError, match="names no point"):
        points.arm_from_environment({"LOWTIDE_STOP_AT": "nowhere"})


def test_a_hook_hears_every_point() -> None:
    heard: list[str] = []
    points.stop_with(heard.append)
    points.reached("submit.after_intent")
    points.stop_with(None)
    points.reached("submit.after_reply")
    assert heard == ["submit.after_intent"]


@pytest.mark.parametrize(("wanted", "stops_at"), [("submit.after_intent", 1), ("submit.after_intent:3", 3)])
def test_a_process_stops_itself_and_can_be_killed_from_outside(wanted: str, stops_at: int) -> None:
    script = (
        "import os\n"
        "from lowtide import points\n"
        "points.arm_from_environment(os.environ)\n"
        "for number in range(1, 9):\n"
        "    points.reached('submit.after_reply')\n"
        "    print(number, flush=True)\n"
        "    points.reached('submit.after_intent')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ | {"LOWTIDE_STOP_AT": wanted}
    ) as process:
        status = os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert status is not None
        assert status.si_status == signal.SIGSTOP
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read().split()[-1] == str(stops_at)


def test_only_the_named_point_stops_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stops: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: stops.append((pid, number)))
    points.arm_from_environment({"LOWTIDE_STOP_AT": "submit.after_reply:2"})
    for _ in range(4):
        points.reached("submit.after_intent")
        points.reached("submit.after_reply")
    assert stops == [(os.getpid(), signal.SIGSTOP)]


def test_every_point_is_passed_somewhere_and_every_passed_one_is_named() -> None:
    sources = Path(lowtide.__file__).parent.rglob("*.py")
    passed = [
        name for path in sources for name in re.findall(r'reached\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    ]
    assert sorted(set(passed)) == sorted(points.POINTS)
