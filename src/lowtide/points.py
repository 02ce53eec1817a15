"""Named points between two writes where a test may stop the process. In normal life each is one dictionary look-up.

The crash tests arm one point by its name (``LOWTIDE_STOP_AT=name`` or ``name:3`` for its third time); the process then
stops itself there and is killed from outside. The simulation arms points in-process with ``stop_with``.
"""

import os
import signal
from collections.abc import Callable, Mapping

POINTS: dict[str, str] = {
    "wave.before_seal": "the wave's bodies are synced, its rows are not committed",
    "wave.after_seal": "a later wave is made",
    "pack.after_commit": "a shard is reserved for, nothing was sent",
    "call.after_intent": "the intents of real-time calls are written, the calls not made",
    "call.after_reply": "real-time replies are here, their answers synced, their outcomes not written",
    "call.after_outcome": "real-time outcomes and their settlements are committed",
    "upload.after_reply": "the lines of a batch are uploaded, their file's id not written",
    "submit.before_intent": "the newest batch of the provider is known, the intent not written",
    "submit.after_intent": "the intent is written, the create call not made",
    "submit.half_sent": "half of the create body is on its way",
    "submit.after_reply": "the create was answered, its outcome not written",
    "submit.after_outcome": "the batch's id is committed",
    "reconcile.after_list": "candidates are known, nothing decided",
    "reconcile.after_outcome": "the doubt is decided and committed",
    "poll.after_reply": "the batches' states are known, not written",
    "poll.after_outcome": "the batches' states are committed",
    "collect.after_sync": "a block of answers is synced in its segment, no row points at it",
    "collect.after_block": "a block of results, outcomes and settlements is committed",
    "collect.before_landed": "every result is in, the shard not marked as landed",
    "collect.after_landed": "the shard has landed and its hold is released",
    "deliver.half_written": "some documents of a shard are written",
    "deliver.before_mark": "all documents are written, the shard not marked as delivered",
    "finish.before_mark": "all is delivered, the run not marked as done",
}

_hook: Callable[[str], None] | None = None


def reached(name: str) -> None:
    """Pass the named point; a test may stop us here."""
    assert name in POINTS, f"{name} is not a named point"
    if _hook is not None:
        _hook(name)


def stop_with(hook: Callable[[str], None] | None) -> None:
    """Call ``hook`` at every point from now on, or nothing for ``None``."""
    global _hook  # noqa: PLW0603 one switch a process, set by tests alone
    _hook = hook


def arm_from_environment(environment: Mapping[str, str]) -> None:
    """Arm the point that ``LOWTIDE_STOP_AT`` names: stop there (SIGSTOP) so that a test can kill -9 from outside."""
    wanted = environment.get("LOWTIDE_STOP_AT", "")
    if not wanted:
        return
    name, _, count = wanted.partition(":")
    assert name in POINTS, f"LOWTIDE_STOP_AT names no point: {name}"
    left = int(count or 1)

    def stop(reached_name: str) -> None:
        nonlocal left
        if reached_name == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGSTOP)

    stop_with(stop)
