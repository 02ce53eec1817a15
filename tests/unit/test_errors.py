"""``errors``: one tree, each with a code, an exit code and a remedy; and problems that are values."""

import re

import pytest

from lowtide import errors
from lowtide.errors import InputRefused, LowtideError, PlanChanged, Problem, TransportFailed


def tree(root: type[LowtideError]) -> list[type[LowtideError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in tree(child))]


def test_the_drawing_at_the_top_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__)
    ours = [kind.__name__ for kind in tree(LowtideError) if kind.__module__ == "lowtide.errors"]
    assert drawn == ours[1:]


@pytest.mark.parametrize("kind", tree(LowtideError), ids=lambda kind: kind.__name__)
def test_each_has_a_code_of_its_own_and_a_remedy(kind: type[LowtideError]) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.__doc__ is not None
    assert "Remedy:" in kind.__doc__
    assert kind.exit_code in (1, 2, 3, 4)
    assert [other for other in tree(LowtideError) if other.code == kind.code] == [kind]


def test_an_error_says_what_and_what_to_do() -> None:
    error = LowtideError("it broke", hint="mend it")
    assert (str(error), error.message, error.hint) == ("it broke", "it broke", "mend it")
    assert LowtideError("x").hint == ""


@pytest.mark.parametrize(("count", "text"), [(1, "1 problem in the input"), (2, "2 problems in the input")])
def test_refused_input_brings_every_problem(count: int, text: str) -> None:
    problems = [Problem(where=f"in.jsonl:{line}", what="no body") for line in range(count)]
    error = InputRefused(problems, hint="mend")
    assert (str(error), error.problems, error.hint) == (text, tuple(problems), "mend")


def test_a_changed_plan_brings_every_change() -> None:
    assert PlanChanged("changed", changes=["a", "b"]).changes == ("a", "b")


def test_a_transport_says_whether_it_was_sent() -> None:
    assert TransportFailed("x", sent=True).sent
    assert not TransportFailed("x", sent=False).sent


def test_a_problem_says_where_what_and_what_to_do() -> None:
    assert str(Problem(where="a:1", what="no key")) == "a:1: no key"
    assert str(Problem(where="a:1", what="no key", hint="add one")) == "a:1: no key\n  hint: add one"
