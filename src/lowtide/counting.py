"""Exact token counts for OpenAI's vocabularies, offline, where the extra ``tokens`` is installed; nothing otherwise.

Kept out of ``estimate`` because loading a vocabulary opens files. The law: what is not installed is not missed, and no
vocabulary is ever downloaded.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from warnings import catch_warnings, simplefilter

from lowtide.catalog import TokenizerFamily
from lowtide.estimate import Counter

PACKAGE = "bpe_openai"
VOCABULARIES: dict[TokenizerFamily, str] = {
    TokenizerFamily.O200K: "o200k_base",
    TokenizerFamily.CL100K: "cl100k_base",
}


def installed_counter() -> Counter | None:
    """Give a counter for the families of ``VOCABULARIES``, or ``None`` without the extra. Loads one at its first use."""
    return None if find_spec(PACKAGE) is None else _count


def _count(text: str, tokenizer: TokenizerFamily) -> int | None:
    name = VOCABULARIES.get(tokenizer)
    if name is None:
        return None
    # A text that was cut inside a character holds half of it; the provider sees a replacement there.
    sound = text.encode("utf-8", "replace").decode()
    return len(_vocabulary(name).encode_ordinary(sound))


@cache
def _vocabulary(name: str) -> Any:  # noqa: ANN401 the package is not there when types are checked
    # It opens its files in a way that Python 3.11 calls deprecated and 3.13 does not: nothing a user could do about.
    with catch_warnings():
        simplefilter("ignore", DeprecationWarning)
        return import_module(PACKAGE).get_encoding(name)
