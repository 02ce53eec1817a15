"""kill -9 of a live run, from outside: at each named point and at random moments. 100 kills, more by ``make crash N=1000``.

A point that is never hit fails its test. The count per point is printed at the end of the run.
"""

import os

import pytest
from victim import Victim, moments

from lowtide.points import POINTS

KILLS = int(os.environ.get("LOWTIDE_KILLS", "100"))
ROUNDS = max(
    1, -(-KILLS // (len(POINTS) * 5))
)  # a round kills up to three times at the point and three times at random moments
LOST = {
    "claude-haiku-4-5": [
        {"on": "POST /v1/messages/batches", "fault": "lost_reply_after_commit", "times": 1},
        {"on": "GET /v1/messages/batches/{id}/results", "fault": "cut_results_after_bytes", "bytes": 900, "times": 1},
    ],
    "gpt-6-luna": [
        {"on": "POST /v1/batches", "fault": "lost_reply_after_commit", "times": 1},
        {"on": "GET /v1/files/{id}/content", "fault": "cut_results_after_bytes", "bytes": 900, "times": 1},
    ],
}
BY_UPLOAD = {"upload.after_reply"}  # passed only where lines are uploaded before a batch is created


def model_of(point: str, round_number: int) -> str:
    """Choose who is asked: in turn, so that two rounds kill at every point of both providers."""
    turn = sorted(POINTS).index(point) + round_number
    return "gpt-6-luna" if turn % 2 or point in BY_UPLOAD else "claude-haiku-4-5"


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("point", sorted(POINTS))
def test_killed_and_started_again(point, round_number, tmp_path, record_property):
    model = model_of(point, round_number)
    seed = 1000 * round_number + sorted(POINTS).index(point)
    victim = Victim(folder=tmp_path, seed=seed, model=model, faults=LOST[model])
    try:
        for nth in (1, 1, 2):
            victim.kill_at(point, nth)
        for seconds in moments(victim.seed, 3):
            victim.kill_after(seconds)
        code = victim.finish()
        assert code == 0
        victim.judge()
    finally:
        victim.bury()
    record_property("killed", dict(victim.killed))

    assert victim.killed[point], f"{point} was never hit"
