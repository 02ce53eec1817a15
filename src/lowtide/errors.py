"""Everything that can be wrong, in two shapes: ``Problem`` values for input, one tree of exceptions for broken doors.

    LowtideError
    ├── InputRefused            the user's input has problems; all of them are listed
    ├── NotFound                no plan, run or batch of that name
    ├── PlanChanged             what the plan promised no longer holds
    ├── PlanBlocked             the plan is a quotation: it cannot be bought as it stands
    ├── BudgetRefused           likely cost over the cap, or nothing left
    ├── DeadlineMissed          even real time cannot meet the deadline
    ├── PriceUnknown            the catalog has no price for this model, lane, tier and day
    ├── CredentialMissing       no provider key where the settings say it is
    ├── SettingsInvalid         a configuration file or variable is wrong
    ├── LeaseLost               another process carries this run out now
    ├── StoreUnusable           the store cannot be opened, is full, is newer, or holds simulated money
    ├── TransportFailed         no answer from a server: refused, cut, timed out
    └── ProviderRefused         an answer that says no: wrong key, over the spend limit

What the world answers about one request is a value (``result.Outcome``), never an exception. A broken promise of our
own is an ``assert``.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in what the user gave us: where it is, what it is, what to do.

    ``where`` is ``file``, ``file:line`` or ``file:line: field``; ``hint`` may be empty.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """Write ``where: what`` and the hint on a line of its own."""
        text = f"{self.where}: {self.what}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class LowtideError(Exception):
    """Root of the tree. Remedy: see ``hint``.

    ``code`` is stable and meant for programs; ``exit_code`` is the command line's answer.
    """

    code = "failed"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputRefused(LowtideError):
    """The input has problems. Remedy: mend each one that is listed; nothing was sent.

    ``problems_count`` in JSON is how many there are: not all of them may have been kept.
    """

    code = "input_refused"

    def __init__(self, problems: Sequence[Problem], *, hint: str = "", count: int | None = None) -> None:
        self.count = len(problems) if count is None else count
        super().__init__(f"{counted(self.count, 'problem')} in the input", hint=hint)
        self.problems = tuple(problems)


class NotFound(LowtideError):
    """No such plan, run or batch. Remedy: ``lowtide status`` lists what there is."""

    code = "not_found"


class PlanChanged(LowtideError):
    """Prices, inputs or headroom differ from what the plan showed. Remedy: plan again and look at the difference."""

    code = "plan_changed"

    def __init__(self, message: str, *, changes: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.changes = tuple(changes)


class PlanBlocked(LowtideError):
    """What was planned is not sold, or not on that lane. Remedy: plan again by another lane, or with another model."""

    code = "plan_blocked"
    exit_code = 3

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why}; nothing was sent or spent",
            hint="plan again by another lane, or with a model that is sold, at the prices of today",
        )


class BudgetRefused(LowtideError):
    """The likely cost does not fit the cap or the headroom. Remedy: raise the cap or plan less; nothing was spent."""

    code = "budget_refused"
    exit_code = 3


class DeadlineMissed(LowtideError):
    """Even real time cannot meet the deadline. Remedy: give more time, plan less, or say that late is good enough."""

    code = "deadline_missed"


class PriceUnknown(LowtideError):
    """The catalog has no price for this model, lane, prompt-length tier and day. Remedy: add a dated price of your own."""

    code = "price_unknown"


class CredentialMissing(LowtideError):
    """No key where the settings say it is. Remedy: set the named variable, keyring entry or file."""

    code = "credential_missing"
    exit_code = 4


class SettingsInvalid(LowtideError):
    """A configuration file, variable or flag is wrong. Remedy: mend it where the message says it stands."""

    code = "settings_invalid"
    exit_code = 2


class LeaseLost(LowtideError):
    """Another process has taken the run over. Remedy: none is needed; watch it with ``lowtide status``."""

    code = "lease_lost"


class StoreUnusable(LowtideError):
    """The store cannot be opened or written. Remedy: see the hint; nothing that was committed is lost."""

    code = "store_unusable"


class TransportFailed(LowtideError):
    """No answer came. ``sent`` is False only when the request certainly never left this machine.

    Remedy: look at the network; the worker tries again, asking first where money is at stake.
    """

    code = "transport_failed"

    def __init__(self, message: str, *, sent: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


class ProviderRefused(LowtideError):
    """The provider said no to us, not to one request. Remedy: the provider's own message says which: key, spend limit."""

    code = "provider_refused"


class ImpossibleEvent(AssertionError):
    """A life met an event that its table does not allow: we are wrong, and stop rather than guess. Not in the tree."""


def counted(number: int, one: str, many: str = "") -> str:
    """Write a count with its noun: ``1 request``, ``1,200 requests``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
