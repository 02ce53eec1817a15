"""Laws of estimates: ranges are in order whatever goes in, and hold the truth 95 times in 100 over seeded worlds."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.estimate import (
    Basis,
    Error,
    Losses,
    Part,
    estimate_output,
    history_of_runs,
    output_part,
    range_of_parts,
)

ROOT = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    """Load the bench that measures: its worlds are the worlds here."""
    spec = spec_from_file_location("bench_ranges", ROOT / "bench" / "ranges.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCH = load()
# The quick version: small runs, because what a run's size does to a range is a law of its own, in the unit tests.
WORLDS = [place for place in map(BENCH.world, range(400)) if sum(kind.requests for kind in place.kinds) <= 3_000][:100]


@pytest.mark.parametrize("history", BENCH.HISTORIES)
def test_the_truth_lies_in_the_range_at_least_93_times_in_100(history: str) -> None:
    judged = [BENCH.judge(place, history) for place in WORLDS]
    missed = [place.seed for place, one in zip(WORLDS, judged, strict=True) if not one.inside]
    assert len(judged) == 100
    assert len(missed) <= 7, missed
    known = {one.said.basis is not Basis.LIMIT for one in judged}
    assert known == {history != "none"}


def test_a_range_is_worth_having() -> None:
    """What holds always is easily said: with answers known, half of the ranges are narrower than their likely figure."""
    widths = sorted(BENCH.judge(place, "20 answers").width for place in WORLDS)
    assert widths[50] < 0.9
    assert sorted(BENCH.judge(place, "pilot of 30").width for place in WORLDS)[50] < 0.6


def test_a_world_is_the_same_each_time() -> None:
    assert BENCH.judge(BENCH.world(7), "5 answers") == BENCH.judge(BENCH.world(7), "5 answers")


LENGTHS = st.lists(st.lists(st.integers(1, 100_000), max_size=12), max_size=4)


@given(runs=LENGTHS, cut=st.integers(0, 12), same=st.booleans(), limit=st.integers(1, 200_000))
def test_a_history_never_says_more_than_the_limit(runs: list[list[int]], cut: int, same: bool, limit: int) -> None:
    answers = sum(map(len, runs))
    history = history_of_runs(runs, cut_answers=min(cut, answers), same_run=same)
    found = estimate_output(limit, history)
    assert 0 <= found.floor <= found.likely <= found.ceiling == limit
    assert found.likely >= 1
    assert history.answers == answers
    assert list(history.step_means) == sorted(history.step_means)


@given(
    runs=LENGTHS,
    limit=st.integers(1, 100_000),
    requests=st.integers(1, 10**6),
    losses=st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)),
)
def test_a_learned_range_is_in_order(runs: list[list[int]], limit: int, requests: int, losses: tuple[int, int]) -> None:
    history = history_of_runs(runs)
    single = estimate_output(limit, history)
    part = output_part(
        requests=requests,
        floor=single.floor * requests,
        likely=single.likely * requests,
        ceiling=single.ceiling * requests,
        history=history,
        max_output_tokens=limit,
    )
    found = range_of_parts([part], Losses(asked=sum(losses), lost=losses[0]))
    assert 0 <= found.floor <= found.low <= found.likely <= found.high <= found.ceiling == part.ceiling
    assert (found.basis is Basis.LEARNED) is history.known


PARTS = st.builds(
    lambda bounds, **facts: Part(floor=bounds[0], likely=sum(bounds[:2]), ceiling=sum(bounds), **facts),
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12)),
    requests=st.integers(0, 10**6),
    basis=st.sampled_from(Basis),
    error=st.builds(
        Error,
        own_ppm=st.integers(0, 5 * 10**6),
        shared_ppm=st.integers(0, 10**6),
        common_ppm=st.integers(0, 10**6),
        freedom=st.floats(1, 1_000),
        rare_ppm=st.integers(0, 10**6),
    ),
    cause=st.sampled_from(["", "drift", "cache"]),
)


@given(parts=st.lists(PARTS, max_size=6), asked=st.integers(0, 10_000), lost=st.integers(0, 10_000))
def test_a_range_of_any_parts_is_in_order(parts: list[Part], asked: int, lost: int) -> None:
    found = range_of_parts(parts, Losses(asked=asked + lost, lost=lost))
    assert 0 <= found.floor <= found.low <= found.likely <= found.high <= found.ceiling
    assert found.ceiling == sum(part.ceiling for part in parts if part.requests)
