"""How many tokens, and so how sure a sum: a judgement from letters, limits and earlier answers, always with a bound.

``texts`` judges what goes in, ``lengths`` what comes out, ``ranges`` how far the sum of a run may lie from its likely
figure, ``asking`` when a count is worth a call; ``words`` are what they speak in. Nothing is asked or sent. Money is not known here (``catalog`` prices tokens): a
sum may be of any unit. The law: a ceiling is a true bound, a likely figure says what it rests on, and where nothing is
known the range is all there is.
"""

from lowtide.estimate.asking import Reason, worth_counting
from lowtide.estimate.lengths import (
    HISTORY_MIN,
    LIMIT_LIKELY_MAX,
    LIMIT_SHARE_PERCENT,
    OutputHistory,
    estimate_output,
    history_of_runs,
    output_history,
    pilot_sizes,
)
from lowtide.estimate.ranges import (
    Error,
    HitRate,
    Losses,
    Part,
    cached_part,
    output_error,
    output_part,
    range_of_parts,
    student,
)
from lowtide.estimate.texts import (
    DENSITIES,
    FLOOR_PERCENT,
    Counter,
    InputFacts,
    Sight,
    counted_input,
    estimate_input,
    input_error,
    input_part,
    likely_tokens,
    text_tokens,
)
from lowtide.estimate.words import Basis, SumRange, TokenRange

__all__ = [
    "DENSITIES",
    "FLOOR_PERCENT",
    "HISTORY_MIN",
    "LIMIT_LIKELY_MAX",
    "LIMIT_SHARE_PERCENT",
    "Basis",
    "Counter",
    "Error",
    "HitRate",
    "InputFacts",
    "Losses",
    "OutputHistory",
    "Part",
    "Reason",
    "Sight",
    "SumRange",
    "TokenRange",
    "cached_part",
    "counted_input",
    "estimate_input",
    "estimate_output",
    "history_of_runs",
    "input_error",
    "input_part",
    "likely_tokens",
    "output_error",
    "output_history",
    "output_part",
    "pilot_sizes",
    "range_of_parts",
    "student",
    "text_tokens",
    "worth_counting",
]
