"""Local token estimates against exact counts: a bound is never passed, the error is what it is said to be.

Texts with exact counts of OpenAI's two vocabularies lie in ``samples/token-texts.jsonl``; recorded bodies with the usage
that their provider reported lie beside them and, many more, in the larger corpus where that is present.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import pytest

from lowtide import counting
from lowtide.catalog import TokenizerFamily

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "data" / "api" / "sessions"


def load() -> ModuleType:
    """Load the bench that measures: the table it prints and what is held here are one."""
    spec = spec_from_file_location("bench_tokens", ROOT / "bench" / "tokens.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCH = load()
TEXTS: list[Any] = list(BENCH.samples())
RECORDED: list[Any] = list(BENCH.recordings())


def sizes(chosen: list[Any]) -> list[float]:
    return sorted(abs(one.error) for one in chosen)


def texts_of(family: TokenizerFamily, *, other_languages: bool) -> list[Any]:
    return [one for one in TEXTS if one.family is family and one.kind.startswith("interface text") is other_languages]


@pytest.mark.parametrize(
    ("family", "other_languages", "half", "nineteen_in_twenty"),
    [
        (TokenizerFamily.O200K, False, 0.07, 0.25),
        (TokenizerFamily.CL100K, False, 0.07, 0.25),
        (TokenizerFamily.O200K, True, 0.10, 0.25),
        (TokenizerFamily.CL100K, True, 0.15, 0.55),
    ],
)
def test_letters_err_no_more_than_stated(
    family: TokenizerFamily, other_languages: bool, half: float, nineteen_in_twenty: float
) -> None:
    errors = sizes(texts_of(family, other_languages=other_languages))
    assert len(errors) >= 30
    assert median(errors) < half
    assert errors[len(errors) * 95 // 100] < nineteen_in_twenty


@pytest.mark.parametrize("family", [TokenizerFamily.O200K, TokenizerFamily.CL100K])
def test_no_text_has_more_tokens_than_bytes(family: TokenizerFamily) -> None:
    chosen = [one for one in TEXTS if one.family is family]
    assert all(one.tokens <= len(one.text.encode()) for one in chosen)


def test_no_recorded_body_passes_its_bound() -> None:
    assert len(RECORDED) >= 2
    assert [one.name for one in RECORDED if one.tokens > one.bound] == []


if CORPUS.exists():

    @pytest.mark.parametrize(
        ("family", "number", "half"),
        [
            (TokenizerFamily.CLAUDE_3, 14, 0.12),
            (TokenizerFamily.CLAUDE_4_7, 5, 0.10),
            (TokenizerFamily.O200K, 20, 0.28),
        ],
    )
    def test_recorded_bodies_err_no_more_than_stated(family: TokenizerFamily, number: int, half: float) -> None:
        errors = sizes([one for one in RECORDED if one.family is family])
        assert len(errors) >= number
        assert median(errors) < half


def test_the_vocabularies_count_the_samples_as_they_were_counted() -> None:
    """The extra is in the lock, so the real package counts here."""
    counter = counting.installed_counter()
    assert counter is not None
    assert [one.kind for one in TEXTS if counter(one.text, one.family) != one.tokens] == []


def test_without_the_extra_nothing_is_counted_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PACKAGE", "no_such_vocabulary")
    assert counting.installed_counter() is None


def test_with_the_extra_its_families_are_counted_and_no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in of the package's shape, one token a word; the real one is measured by bench/tokens.py."""
    (tmp_path / "bpe_stand_in.py").write_text(
        "class Encoding:\n"
        "    def encode_ordinary(self, text):\n"
        "        return text.encode().split()\n"
        "def get_encoding(name):\n"
        "    assert name in ('o200k_base', 'cl100k_base')\n"
        "    return Encoding()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(counting, "PACKAGE", "bpe_stand_in")
    counting._vocabulary.cache_clear()
    counter = counting.installed_counter()
    assert counter is not None
    assert counter("three small words", TokenizerFamily.O200K) == 3
    assert counter("half a \ud800 letter", TokenizerFamily.CL100K) == 4
    assert counter("three small words", TokenizerFamily.CLAUDE_3) is None
    counting._vocabulary.cache_clear()
