"""Webhooks: events of OpenAI's half, signed as Standard Webhooks, delivered to one receiver.

Here: what is signed and sent when, and again when the receiver failed. Not here: which events there are (``openai``). Law: an
event says what and which, never how it went: a receiver asks again. Nothing is sent unless a receiver is configured.

Source: reference sheet of OpenAI's API, section 2.5, checked 2026-11-21.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_simulator.clock import Instant

if TYPE_CHECKING:
    from lowtide_simulator.world import World


@dataclass(slots=True)
class Webhooks:
    """The receiver and what is on its way."""

    world: "World"

    def tell(self, event: str, name: str, at: Instant) -> None:
        """Something happened."""
