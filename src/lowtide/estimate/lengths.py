"""How long answers will be: what earlier ones of a kind were, summed up, and what that says of the next.

A history is kept small and still says what a sum needs: how long answers are, how much one differs from the next, how much
one run differs from another, and how many of them a limit cut off. The law: the ceiling is the limit, whatever was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import isqrt

from lowtide.estimate.words import Basis, TokenRange

# With no history an answer is guessed at half its limit, and at no more than this: most limits are set far too high.
LIMIT_SHARE_PERCENT = 50
LIMIT_LIKELY_MAX = 4_000
HISTORY_MIN = 5  # answers of a kind before their length counts as known
ESTIMATES_REMEMBERED = 256  # most requests of a run have the limit of the one before
STEPS = 20  # a history keeps the means of so many equal parts of its answers, shortest first


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputHistory:
    """Lengths in tokens of earlier answers to one kind of request.

    ``low_tokens`` and ``high_tokens`` are the 5 % and 95 % quantiles, ``deviation_tokens`` how far one answer lies from
    the mean of its own run (root of the mean square), ``step_means`` the means of equal parts of all answers, shortest
    first. ``cut_answers`` ended because their limit did. The answers come from ``runs`` runs, whose means lie
    ``drift_permille`` of the whole mean apart (a standard deviation, without what chance explains; 0 for one run).
    ``same_run``: they belong to the very run that is planned (a pilot), so nothing has drifted since.
    """

    answers: int
    mean_tokens: int
    low_tokens: int
    high_tokens: int
    deviation_tokens: int = 0
    step_means: tuple[int, ...] = ()
    cut_answers: int = 0
    runs: int = 1
    drift_permille: int = 0
    same_run: bool = False

    @property
    def known(self) -> bool:
        """Whether there are enough answers to count as knowledge."""
        return self.answers >= HISTORY_MIN

    def mean_within(self, max_output_tokens: int) -> int:
        """Give the mean length of answers that may have at most so many tokens: longer ones are cut there.

        Answers that an earlier, smaller limit cut off would have gone on: each counts as twice as long, or to the limit.
        """
        steps = self.step_means or (self.mean_tokens,)
        # Parts may differ by an answer, so what the limit takes off is taken off the true mean in proportion.
        kept = sum(min(step, max_output_tokens) for step in steps)
        mean = -(-self.mean_tokens * kept // max(1, sum(steps)))
        if self.cut_answers and self.answers:
            longest = max(steps)
            more = min(max_output_tokens, 2 * longest) - min(max_output_tokens, longest)
            mean += more * self.cut_answers // self.answers
        return min(mean, max_output_tokens)


def output_history(lengths: Sequence[int], *, cut_answers: int = 0, same_run: bool = False) -> OutputHistory:
    """Sum up the lengths in tokens of the answers of one run to one kind of request."""
    return history_of_runs([lengths], cut_answers=cut_answers, same_run=same_run)


def history_of_runs(runs: Sequence[Sequence[int]], *, cut_answers: int = 0, same_run: bool = False) -> OutputHistory:
    """Sum up the lengths in tokens of earlier answers to one kind of request, run by run. Empty runs do not count."""
    runs = [run for run in runs if run]
    ordered = sorted(length for run in runs for length in run)
    if not ordered:
        return OutputHistory(answers=0, mean_tokens=0, low_tokens=0, high_tokens=0, same_run=same_run)
    count, last = len(ordered), len(ordered) - 1
    within = _within(runs)
    return OutputHistory(
        answers=count,
        mean_tokens=-(-sum(ordered) // count),
        low_tokens=ordered[last // 20],
        high_tokens=ordered[-(-last * 19 // 20)],
        deviation_tokens=isqrt(within),
        step_means=_steps(ordered),
        cut_answers=cut_answers,
        runs=len(runs),
        drift_permille=_drift(runs, within),
        same_run=same_run,
    )


@lru_cache(maxsize=ESTIMATES_REMEMBERED)
def estimate_output(max_output_tokens: int, history: OutputHistory | None) -> TokenRange:
    """Estimate the output tokens of one answer; the ceiling is always the limit it was given.

    With a history the likely figure is its mean, because sums are made of means. Without one, or with fewer answers than
    ``HISTORY_MIN``, it is a stated share of the limit (``LIMIT_SHARE_PERCENT``, ``LIMIT_LIKELY_MAX``), and its basis says
    that nothing is known. The floor is half of what nineteen in twenty answers passed: another run's may all be shorter.
    """
    if history is None or not history.known:
        likely = min(max_output_tokens * LIMIT_SHARE_PERCENT // 100, LIMIT_LIKELY_MAX)
        return TokenRange(
            floor=min(1, max_output_tokens), likely=max(likely, 1), ceiling=max_output_tokens, basis=Basis.LIMIT
        )
    likely = history.mean_within(max_output_tokens)
    return TokenRange(
        floor=min(history.low_tokens // 2, likely),
        likely=likely,
        ceiling=max_output_tokens,
        basis=Basis.LEARNED,
    )


def pilot_sizes(counts: dict[str, int], requests: int) -> dict[str, int]:
    """Share a pilot of so many requests out over kinds, by how many there are of each.

    Every kind gets at least ``HISTORY_MIN`` (or all it has), or nothing would be learned of it: a pilot of many kinds may
    therefore be larger than was asked for. Take them evenly spread over the plan, not its first ones.
    """
    whole = max(1, sum(counts.values()))
    return {kind: min(count, max(HISTORY_MIN, requests * count // whole)) for kind, count in counts.items()}


def _steps(ordered: Sequence[int]) -> tuple[int, ...]:
    """Give the means of at most ``STEPS`` equal parts; of parts that differ by one answer where they must."""
    parts = min(STEPS, len(ordered))
    edges = [len(ordered) * place // parts for place in range(parts + 1)]
    return tuple(-(-sum(ordered[start:end]) // (end - start)) for start, end in pairwise(edges))


def _within(runs: Sequence[Sequence[int]]) -> int:
    """Give the variance of one answer about the mean of its run; 0 when no run has two."""
    freedom = sum(len(run) - 1 for run in runs)
    # n times the sum of squares less the square of the sum is exact in whole numbers.
    squares = sum((len(run) * sum(one * one for one in run) - sum(run) ** 2) // len(run) for run in runs)
    return squares // freedom if freedom else 0


def _drift(runs: Sequence[Sequence[int]], within: int) -> int:
    """Give the standard deviation of runs' means in thousandths of the mean, less what their answers' spread explains."""
    means = [sum(run) // len(run) for run in runs]
    whole = sum(means) // len(means)
    if len(means) < 2 or not whole:
        return 0
    between = sum((mean - whole) ** 2 for mean in means) // (len(means) - 1)
    chance = sum(within // len(run) for run in runs) // len(runs)
    return isqrt(max(0, between - chance) * 1_000_000) // whole
