"""``result``: every outcome has its name, every code its two answers."""

import pytest

from lowtide.result import (
    REFUSALS,
    UNKNOWN_REFUSAL,
    Billed,
    Canceled,
    Errored,
    Expired,
    Outcome,
    OutcomeName,
    Retry,
    Succeeded,
    may_retry,
    outcome_name,
    refusal,
)
from lowtide.usage import Usage

ANSWER = Succeeded(
    message=b"{}", text="x", stop_reason="end_turn", model="m", usage=Usage(input_tokens=1, output_tokens=1)
)


@pytest.mark.parametrize(
    ("outcome", "name", "again"),
    [
        (ANSWER, OutcomeName.SUCCEEDED, False),
        (Errored(code="api_error", message=""), OutcomeName.ERRORED, True),
        (Errored(code="reply_lost", message=""), OutcomeName.ERRORED, True),
        (Errored(code="authentication_error", message=""), OutcomeName.ERRORED, False),
        (Canceled(), OutcomeName.CANCELED, True),
        (Expired(), OutcomeName.EXPIRED, True),
    ],
)
def test_outcomes_are_named_and_tried_again_or_not(outcome: Outcome, name: OutcomeName, again: bool) -> None:
    assert outcome_name(outcome) is name
    assert may_retry(outcome) is again


def test_every_code_has_its_two_answers() -> None:
    for code, found in REFUSALS.items():
        assert refusal(code) is found
        assert isinstance(found.retry, Retry)
        assert isinstance(found.billed, Billed)
    assert {code for code, found in REFUSALS.items() if found.billed is not Billed.NO} == {
        "response_failed",
        "response_unfinished",
        "row_missing",
        "row_unreadable",
        "reply_lost",
    }


def test_a_code_we_do_not_know_is_tried_again() -> None:
    assert refusal("new_kind_of_error") is UNKNOWN_REFUSAL
    assert UNKNOWN_REFUSAL.retry is Retry.LATER
