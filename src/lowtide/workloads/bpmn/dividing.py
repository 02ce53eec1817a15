"""Documents whose one prompt could pass a price threshold, divided by node: parts first, then the whole that quotes them.

A part has the prompt of its document, but quotes the documents of a few children only. What is decided here rests on limits,
and a part's own text on a guess with room to spare: an answer never has more tokens than its limit. Nothing is frozen here;
``Bpmn`` plans its waves again with what is found.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from lowtide.workload import PromptThreshold
from lowtide.workloads.bpmn.frozen import Frame
from lowtide.workloads.bpmn.prompts import Draft, Quoted

ROOM_PERCENT = 90  # of a threshold: how far a prompt may come, because its own text is guessed


Cuts = tuple[tuple[int, int], ...]


@dataclass(slots=True, kw_only=True)
class Division:
    """``slices`` has, by (node, row), what ``divide`` found. ``undivided`` are the numbers of documents that stay too long."""

    slices: dict[tuple[int, int], Cuts] = field(default_factory=dict)
    undivided: list[int] = field(default_factory=list)

    @property
    def parts(self) -> int:
        """Count the parts of all."""
        return sum(len(slices) for slices in self.slices.values())


def tokens_at_most(frame: Frame, number: int, draft: Draft, threshold: PromptThreshold) -> int:
    """Give the most tokens that a prompt can have: its own by guess, those it quotes by their limits."""
    quoted = sum(draft.quoted[mark].max_output_tokens for mark in draft.marks)
    shown_at_most = draft.quoted_bytes_max * 100 // min(threshold.ascii_bytes, threshold.other_bytes)
    return _own_tokens(frame, number, draft, threshold) + min(quoted, shown_at_most)


def is_near(frame: Frame, number: int, draft: Draft, threshold: PromptThreshold) -> bool:
    """Say whether a prompt could come near the threshold, or pass it."""
    return tokens_at_most(frame, number, draft, threshold) > _room(threshold)


def divide(frame: Frame, number: int, draft: Draft, threshold: PromptThreshold) -> Cuts:
    """Say where each part of a document begins and ends among what it quotes; nothing where it cannot be divided."""
    own = _own_tokens(frame, number, draft, threshold)
    times = max(Counter(draft.marks).values(), default=1)  # a template may quote a document more than once
    found = tuple(_slices(frame.quoted(number), (_room(threshold) - own) // times))
    limit = frame.frozen.table.types[frame.frozen.planned[number].row].max_output_tokens
    fits = own + times * len(found) * limit <= _room(threshold)
    return found if len(found) > 1 and fits else ()


def _room(threshold: PromptThreshold) -> int:
    return threshold.tokens * ROOM_PERCENT // 100


def _own_tokens(frame: Frame, number: int, draft: Draft, threshold: PromptThreshold) -> int:
    """Guess the tokens of a prompt without what it quotes."""
    file = frame.forest.file_of[frame.frozen.planned[number].node]
    own = (frame.prompts.system(), frame.prompts.overview(file), *draft.parts)
    return sum(threshold.tokens_of(text) for text in own)


def _slices(quoted: Sequence[Quoted], room: int) -> Iterator[tuple[int, int]]:
    """Cut what is quoted where a prompt is full, between two nodes where that can be; nothing where one does not fit."""
    if any(quote.max_output_tokens > room for quote in quoted):
        return
    start = end = tokens = 0
    for _, found in groupby(quoted, key=lambda quote: quote.node):
        of_node = [quote.max_output_tokens for quote in found]
        pieces = [of_node] if sum(of_node) <= room else [[each] for each in of_node]
        for piece in pieces:
            if tokens + sum(piece) > room:
                yield start, end
                start, tokens = end, 0
            end += len(piece)
            tokens += sum(piece)
    if end > start:
        yield start, end
