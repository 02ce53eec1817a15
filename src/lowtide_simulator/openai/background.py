"""A response that is made in the background: queued, in progress, over.

Law: it is billed once, when it is finished, at the lane of its window; one that failed or was cancelled costs nothing.

Source: openai-python 3.54.0 (``background_options``); reference sheet of OpenAI's API, sections 1 and 7, checked 2026-11-21. Not
known and chosen here: a window is never missed, half of the wait is spent queued, and cancelling is free.
"""

from dataclasses import dataclass
from typing import Any, Final

from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.work import Work

QUEUED, RUNNING = "queued", "in_progress"
LANES: Final = {"soonest": "standard", "2h": "2h", "8h": "8h"}


@dataclass(slots=True, kw_only=True)
class Background:
    """One of them. ``whole`` is the response as it is shown now."""

    id: str
    work: Work
    usage: Usage
    whole: dict[str, Any]
    lane: str
    request_id: str
    metadata: dict[str, str] | None
    lost: bool = False
    fails: bool = False

    @property
    def status(self) -> str:
        """Its state."""
        return str(self.whole["status"])

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in (QUEUED, RUNNING)
