"""How many tokens a text is: judged from its letters by tokenizer family, bounded by its bytes. Nothing is asked or sent.

A text is weighed by counting its characters by kind (letters, digits, marks, scripts); each kind weighs so many
thousandths of a token in each family. The law: a ceiling is a true bound, whatever was judged.

Where the weights come from, and how far they err, stands beside them; bench/tokens.py measures it again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lowtide.catalog import Model, TokenizerFamily
from lowtide.estimate.ranges import Error, Part
from lowtide.estimate.words import Basis, TokenRange


class InputFacts(Protocol):
    """What must be known of a body (``providers.BodyFacts`` has it, and is above this room)."""

    @property
    def content_bytes(self) -> int:
        """UTF-8 bytes of everything that becomes tokens, what the provider adds around it included."""
        ...

    @property
    def non_ascii_bytes(self) -> int:
        """The part of it outside ASCII."""
        ...

    @property
    def images(self) -> int:
        """Images, each bounded by the image formula."""
        ...

    @property
    def input_unbounded(self) -> bool:
        """Whether the body names something whose length cannot be seen."""
        ...


class Counter(Protocol):
    """Counts the tokens of a text exactly, offline (the extra ``tokens`` brings one for OpenAI's families)."""

    def __call__(self, text: str, tokenizer: TokenizerFamily) -> int | None:
        """Count, or say ``None`` for a family that it does not know."""
        ...


class Sight(StrEnum):
    """How the input of some requests was seen, surest first."""

    COUNTED = "counted"  # the provider counted it
    VOCABULARY = "vocabulary"  # counted here by the family's own vocabulary; what the provider adds is judged
    LETTERS = "letters"  # its letters were weighed
    BYTES = "bytes"  # its length alone is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Thousandths of a token that one character weighs, by kind, in one family.

    ``spaces`` stand alone, and so count words; ``indents`` are pairs of them. Non-ASCII kinds are told by the first
    byte of a character. ``latin`` are letters with accents, which also break words apart; ``right_to_left`` Hebrew and
    Arabic, with Armenian; ``indic`` everything from Devanagari to Khmer; ``symbols`` dashes, quotes and arrows; ``wide``
    the full-width forms; ``astral`` emoji and rare scripts.
    """

    letters: int
    spaces: int
    indents: int
    digits: int
    marks: int
    breaks: int
    latin: int
    greek: int
    cyrillic: int
    right_to_left: int
    indic: int
    symbols: int
    kana: int
    han: int
    hangul: int
    wide: int
    astral: int


_LETTERS = bytes((*range(65, 91), *range(97, 123)))
_DIGITS = b"0123456789"
_BREAKS = b"\n\r\t"
_FIRST_BYTES: dict[str, range] = {
    "latin": range(0xC2, 0xCC),
    "greek": range(0xCC, 0xD0),
    "cyrillic": range(0xD0, 0xD4),
    "right_to_left": range(0xD4, 0xE0),
    "indic": range(0xE0, 0xE2),
    "symbols": range(0xE2, 0xE3),
    "kana": range(0xE3, 0xE4),
    "han": range(0xE4, 0xEA),
    "hangul": range(0xEA, 0xEE),
    "wide": range(0xEE, 0xF0),
    "astral": range(0xF0, 0xF8),
}


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_ASCII_BYTES = bytes(range(128))
_OTHER_BYTES = bytes(range(128, 256))
_OTHER_TABLES = [(name, _all_but(bytes(kept))) for name, kept in _FIRST_BYTES.items()]

# Fitted to exact counts of OpenAI's two vocabularies (bench/tokens.py): by least absolute error over English prose, markdown,
# BPMN names and XML, Python, CSS, JavaScript, HTML, JSON and tables (weighing three each) and interface texts in 41 other
# languages (one each). Emoji, dashes and full-width marks are too few there; theirs were counted one by one. A digit is
# a compromise: long numbers hold three in a token, a lone one is a token with its space.
O200K_WEIGHTS = Weights(
    letters=177,
    spaces=288,
    indents=77,
    digits=850,
    marks=467,
    breaks=1_051,
    latin=1_186,
    greek=375,
    cyrillic=342,
    right_to_left=368,
    indic=405,
    symbols=1_000,
    kana=598,
    han=813,
    hangul=625,
    wide=1_000,
    astral=1_500,
)
CL100K_WEIGHTS = Weights(
    letters=178,
    spaces=301,
    indents=83,
    digits=850,
    marks=467,
    breaks=921,
    latin=2_247,
    greek=1_028,
    cyrillic=550,
    right_to_left=969,
    indic=1_409,
    symbols=1_000,
    kana=938,
    han=1_044,
    hangul=1_037,
    wide=1_000,
    astral=2_500,
)


def _times(weights: Weights, percent: int) -> Weights:
    return Weights(**{name: getattr(weights, name) * percent // 100 for name in Weights.__dataclass_fields__})


# Claude has no local tokenizer. On 17 recorded bodies for models up to 4.6 the weights of cl100k as they are err by 7 % in
# the median, on 5 of the newer family 1.3 times those (so says the token counting page too, checked 2026-11-21) by 5 %;
# all of them in English, most of them short. Other scripts are taken to weigh the same: nothing recorded says so.
WEIGHTS: dict[TokenizerFamily, Weights] = {
    TokenizerFamily.O200K: O200K_WEIGHTS,
    TokenizerFamily.CL100K: CL100K_WEIGHTS,
    TokenizerFamily.CLAUDE_3: CL100K_WEIGHTS,
    TokenizerFamily.CLAUDE_4_7: _times(CL100K_WEIGHTS, 130),
    TokenizerFamily.UNKNOWN: _times(CL100K_WEIGHTS, 115),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Bytes that stand for a hundred tokens where no letter can be seen.

    ``ascii_bytes`` of ASCII text, ``other_bytes`` of other scripts (2 to 4 bytes a character), ``frame_bytes`` of what a
    codec allows for the provider's own words around ours: OpenAI's frame is 3 tokens and 4 a message, far from its bound.
    """

    ascii_bytes: int
    other_bytes: int
    frame_bytes: int


# Prose, names and code mixed, as above; the other scripts Cyrillic and Chinese, which lie apart by half.
DENSITIES: dict[TokenizerFamily, Density] = {
    TokenizerFamily.O200K: Density(ascii_bytes=390, other_bytes=400, frame_bytes=900),
    TokenizerFamily.CL100K: Density(ascii_bytes=380, other_bytes=260, frame_bytes=900),
    TokenizerFamily.CLAUDE_3: Density(ascii_bytes=380, other_bytes=260, frame_bytes=380),
    TokenizerFamily.CLAUDE_4_7: Density(ascii_bytes=292, other_bytes=200, frame_bytes=380),
    TokenizerFamily.UNKNOWN: Density(ascii_bytes=330, other_bytes=220, frame_bytes=380),
}
FLOOR_PERCENT = 60  # of the likely input: questions in long words come out at two thirds of it
EXACT_FLOOR_PERCENT = 90  # of a text that was counted by the vocabulary itself
IMAGE_TOKENS_MAX = 4_784  # 28-pixel patches of the largest image a model looks at (vision page, checked 2026-11-21)
UNSEEN_TOKENS_LIKELY = 4_500  # a page or two of a PDF: 1,500 to 3,000 tokens of text, and its picture


def text_tokens(text: str, tokenizer: TokenizerFamily) -> int:
    """Judge the tokens of a text from its letters; at least 1 where there is any."""
    if not text:
        return 0
    content = text.encode("utf-8", "surrogatepass")
    weights = WEIGHTS[tokenizer]
    plain = content if text.isascii() else content.translate(None, _OTHER_BYTES)
    # One kind after the other is taken out: little of prose is left after its letters, and next to nothing after its spaces.
    no_letters = plain.translate(None, _LETTERS)
    no_spaces = no_letters.translate(None, b" ")
    no_breaks = no_spaces.translate(None, _BREAKS)
    marks = no_breaks.translate(None, _DIGITS)
    total = (len(plain) - len(no_letters)) * weights.letters + (len(no_letters) - len(no_spaces)) * weights.spaces
    total += (len(no_spaces) - len(no_breaks)) * weights.breaks + (len(no_breaks) - len(marks)) * weights.digits
    total += len(marks) * weights.marks
    total += plain.count(b"  ") * (weights.indents - 2 * weights.spaces)
    if len(plain) < len(content):
        others_only = content.translate(None, _ASCII_BYTES)
        for name, others in _OTHER_TABLES:
            total += len(others_only.translate(None, others)) * getattr(weights, name)
    return max(1, total // 1_000)


def likely_tokens(content_bytes: int, *, non_ascii_bytes: int = 0, tokenizer: TokenizerFamily) -> int:
    """Guess the tokens of so many UTF-8 bytes of text that cannot be seen; at least 1 where there is any."""
    density = DENSITIES[tokenizer]
    plain = (content_bytes - non_ascii_bytes) * 100 // density.ascii_bytes
    return plain + non_ascii_bytes * 100 // density.other_bytes + (content_bytes > 0)


def estimate_input(
    facts: InputFacts, model: Model, *, text: str | None = None, counter: Counter | None = None
) -> TokenRange:
    """Estimate the input tokens of a body. ``text`` is all its text, where it is at hand; ``counter`` counts it exactly.

    The ceiling is a bound: a token holds at least one byte, an image at most the formula's maximum, and what cannot be
    seen at most the context window, which also bounds the whole.
    """
    window = model.largest_context_tokens
    content = facts.content_bytes
    likely, floor = _text_range(facts, model.tokenizer, text, counter)
    ceiling = content
    if facts.images:
        image = model.image_tokens_max or IMAGE_TOKENS_MAX
        ceiling += facts.images * image
        likely += facts.images * image // 2
    if facts.input_unbounded:
        ceiling = window
        likely += UNSEEN_TOKENS_LIKELY
    likely = min(likely, ceiling, window)
    return TokenRange(
        floor=min(floor, likely),
        likely=likely,
        ceiling=min(ceiling, window),
        basis=Basis.LIMIT if facts.input_unbounded else Basis.LOCAL,
    )


def _text_range(
    facts: InputFacts, tokenizer: TokenizerFamily, text: str | None, counter: Counter | None
) -> tuple[int, int]:
    """Give likely tokens and floor of all the text of a body and the frame around it."""
    if text is None:
        likely = likely_tokens(facts.content_bytes, non_ascii_bytes=facts.non_ascii_bytes, tokenizer=tokenizer)
        return likely, likely * FLOOR_PERCENT // 100
    length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    frame = max(0, facts.content_bytes - length) * 100 // DENSITIES[tokenizer].frame_bytes
    exact = None if counter is None else counter(text, tokenizer)
    if exact is None:
        likely = text_tokens(text, tokenizer) + frame
        return likely, likely * FLOOR_PERCENT // 100
    return exact + frame, exact * EXACT_FLOOR_PERCENT // 100


def counted_input(tokens: int, model: Model) -> TokenRange:
    """Take the provider's own count. It calls it an estimate: the ceiling allows 5 % and 64 tokens more.

    Source: token counting page, checked 2026-11-21; how far it errs is not stated there.
    """
    window = model.largest_context_tokens
    ceiling = min(tokens + tokens // 20 + 64, window)
    return TokenRange(
        floor=min(tokens - tokens // 20, ceiling), likely=min(tokens, ceiling), ceiling=ceiling, basis=Basis.COUNTED
    )


# What all bodies of a run have in common: one kind of text lies off the weights as a whole. Standard deviations of the
# medians of kinds of text were 9 % for 16 kinds of English and code and 12 % for 41 other languages with o200k, 9 and 17 with
# cl100k; recorded bodies of Claude are few and short, so more is taken for those.
SHARED_PERCENT: dict[Sight, dict[TokenizerFamily, int]] = {
    Sight.COUNTED: dict.fromkeys(TokenizerFamily, 1),
    Sight.VOCABULARY: dict.fromkeys(TokenizerFamily, 4),
    Sight.LETTERS: {
        TokenizerFamily.O200K: 11,
        TokenizerFamily.CL100K: 13,
        TokenizerFamily.CLAUDE_3: 14,
        TokenizerFamily.CLAUDE_4_7: 16,
        TokenizerFamily.UNKNOWN: 25,
    },
    Sight.BYTES: dict.fromkeys(TokenizerFamily, 25),
}
LIKE_OURS = (
    10.0  # of those kinds, so many are taken to be like the next run's: the figures above are no surer than that
)
OWN_PERCENT = {Sight.COUNTED: 2, Sight.VOCABULARY: 5, Sight.LETTERS: 15, Sight.BYTES: 25}


def input_error(sight: Sight, tokenizer: TokenizerFamily) -> Error:
    """Say how far the likely input of a body of this family may be off, seen this way."""
    return Error(
        own_ppm=OWN_PERCENT[sight] * 10_000,
        common_ppm=SHARED_PERCENT[sight][tokenizer] * 10_000,
        common_freedom=LIKE_OURS,
    )


def input_part(
    *, requests: int, floor: int, likely: int, ceiling: int, tokenizer: TokenizerFamily, sight: Sight = Sight.LETTERS
) -> Part:
    """Give what the inputs of some requests of one family add up to, in tokens or in money.

    Bodies of one family are likely of one kind of text, so all of them are taken to err together.
    """
    return Part(
        requests=requests,
        floor=floor,
        likely=likely,
        ceiling=ceiling,
        basis=Basis.COUNTED if sight is Sight.COUNTED else Basis.LOCAL,
        error=input_error(sight, tokenizer),
        cause=f"input {tokenizer}",
    )
