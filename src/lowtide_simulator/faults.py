"""What can go wrong on purpose.

Here: the kinds of faults, the script that says when one fires, and the cut connection. Not here: what each fault does
to a reply (``app``) or a batch (``batches``). Law: whether a rule fires depends only on the seed, the script and the
order of requests.

A rule is a JSON object: ``on`` (``"POST /v1/messages/batches/{id}/cancel"``; ``*`` is any method), ``fault``, when
(``nth`` matching request, counted from 1; ``times`` at most; ``probability``), and the fault's own fields.
"""

import random
import re
from enum import StrEnum
from typing import Any

import msgspec


class ConnectionCut(ConnectionError):
    """The connection ends here. Under a server the socket is reset; in process this leaves the application."""


class FaultKind(StrEnum):
    """Every fault there is."""

    # Any request.
    STATUS = "status"
    SPEND_CAP_429 = "spend_cap_429"
    CUT_BEFORE_COMMIT = "cut_before_commit"
    LOST_REPLY_AFTER_COMMIT = "lost_reply_after_commit"
    LATE_REPLY = "late_reply"
    CUT_REPLY_AFTER_BYTES = "cut_reply_after_bytes"
    # Creating a batch.
    DELAY = "delay"
    SLOW_LIST = "slow_list"
    ITEMS_ERRORED = "items_errored"
    ITEMS_EXPIRED = "items_expired"
    ITEMS_CANCELED = "items_canceled"
    STUCK = "stuck"
    CANCELED_BY_OTHER = "canceled_by_other"
    OUTPUT_FILE_LATE = "output_file_late"
    # Retrieving a batch and its results.
    WRONG_HOST = "wrong_host"
    RESULTS_VANISH = "results_vanish"
    CUT_RESULTS_AFTER_BYTES = "cut_results_after_bytes"
    CUT_RESULTS_AT_LINE = "cut_results_at_line"
    ROWS_MISSING = "rows_missing"
    ROWS_TWICE = "rows_twice"
    TRUNCATED_UTF8 = "truncated_utf8"
    # Streaming an answer.
    SSE_ERROR_AFTER_200 = "sse_error_after_200"
    CUT_STREAM = "cut_stream"
    # OpenAI's lanes: the tier that is served, and what becomes of a background response.
    TIER_DOWNGRADED = "tier_downgraded"
    FLEX_UNAVAILABLE = "flex_unavailable"
    BACKGROUND_FAILS = "background_fails"
    BACKGROUND_LOST = "background_lost"
    BACKGROUND_STUCK = "background_stuck"
    # Webhooks, on "WEBHOOK batch.completed" and the like.
    WEBHOOK_LOST = "webhook_lost"
    WEBHOOK_TWICE = "webhook_twice"
    WEBHOOK_DELAYED = "webhook_delayed"
    WEBHOOK_REORDERED = "webhook_reordered"
    WEBHOOK_FORGED = "webhook_forged"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the script; the fields after ``probability`` belong to single faults (see the README's table)."""

    on: str
    fault: FaultKind
    nth: int | None = None
    times: int | None = None
    probability: float | None = None
    status: int = 500
    message: str | None = None
    error_type: str | None = None
    error_code: str = "enforced_spend_limit_reached"
    retry_after: float | None = None
    should_retry: bool | None = None
    json_body: bool | None = None
    seconds: float = 60.0
    bytes: int = 0
    line: int = 0
    events: int = 3
    rows: int = 1
    share: float | None = None
    custom_ids: list[str] | None = None
    indexes: list[int] | None = None
    host: str = "http://results.invalid"


class Script:
    """The rules in force and how often each has matched and fired."""

    def __init__(self, seed: int, rules: tuple[Rule, ...] = ()) -> None:
        self._seed = seed
        self._added = 0
        self.rules: list[ScriptedRule] = []
        self.add(rules)

    def add(self, rules: tuple[Rule, ...]) -> list[int]:
        """Append rules; returns their numbers."""
        numbers = []
        for rule in rules:
            self._added += 1
            self.rules.append(ScriptedRule(self._added, rule, self._seed))
            numbers.append(self._added)
        return numbers

    def remove(self, number: int | None = None) -> None:
        """Drop one rule, or all."""
        self.rules = [] if number is None else [scripted for scripted in self.rules if scripted.number != number]

    def firing(self, method: str, path: str) -> tuple[Rule, ...]:
        """The rules that fire for this request, in the order of the script."""
        if not self.rules:
            return ()
        call = f"{method} {path}"
        return tuple(scripted.rule for scripted in self.rules if scripted.fires(call))

    def to_json(self) -> list[dict[str, Any]]:
        """The script with its counts."""
        return [
            {
                "id": scripted.number,
                "matched": scripted.matched,
                "fired": scripted.fired,
                **{k: v for k, v in msgspec.to_builtins(scripted.rule).items() if v is not None},
            }
            for scripted in self.rules
        ]


class ScriptedRule:
    """A rule with its own counts and its own chance."""

    def __init__(self, number: int, rule: Rule, seed: int) -> None:
        method, _, path = rule.on.partition(" ")
        pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(path))
        self.pattern = re.compile((".+" if method == "*" else re.escape(method)) + " " + pattern)
        self.number = number
        self.rule = rule
        self.chance = random.Random(f"{seed} {number}")
        self.matched = 0
        self.fired = 0

    def fires(self, call: str) -> bool:
        """Count this request, and say whether the rule fires for it."""
        if not self.pattern.fullmatch(call):
            return False
        self.matched += 1
        rule = self.rule
        times = rule.times if rule.times is not None or rule.nth is None else 1
        if rule.nth is not None and self.matched < rule.nth:
            return False
        if times is not None and self.fired >= times:
            return False
        if rule.probability is not None and self.chance.random() >= rule.probability:
            return False
        self.fired += 1
        return True


def parse_rules(raw: bytes) -> tuple[Rule, ...]:
    """Rules from JSON: a list, or ``{"faults": [...]}``. Raises msgspec.ValidationError with the mistake's path."""
    decoded = msgspec.json.decode(raw)
    if isinstance(decoded, dict) and set(decoded) == {"faults"}:
        decoded = decoded["faults"]
    if isinstance(decoded, dict):
        decoded = [decoded]
    return msgspec.convert(decoded, type=tuple[Rule, ...])
