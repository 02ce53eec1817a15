"""The front desk: plan, run, status, results, cancel, retry, raise, adopt, doctor, prune. All that a face may use.

Faces parse and show; decisions are made below. An engine holds one store, one provider account and one clock. Nothing is
sent by planning, and nothing is bought but by a worker's turn.
"""

from lowtide.engine.adopting import Adopting
from lowtide.engine.caring import Caring
from lowtide.engine.looking import Event, Looking
from lowtide.engine.piloting import Piloting
from lowtide.engine.planning import Planned
from lowtide.engine.steering import Steering

__all__ = ["Engine", "Event", "Planned"]


class Engine(Piloting, Steering, Looking, Adopting, Caring):
    """The front desk. Make one with ``Engine.start`` and close it with ``close``."""
