"""How far local token estimates err: median and 95 % error by family and kind of text, and over recorded traffic.

Texts are the samples in tests/contract/samples (with exact counts) and, where present, ../shared/data/prompts,
../shared/data/bpmn and ../shared/seeds, counted exactly by the extra ``tokens``. Recorded bodies are judged against the usage that the
provider reported; bodies with images, documents or server tools are left out, as their length is not in their letters.

    python bench/tokens.py
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lowtide.catalog import Model, TokenizerFamily
from lowtide.counting import installed_counter
from lowtide.estimate import estimate_input, text_tokens
from lowtide.providers import BodyFacts, anthropic_bodies, openai_bodies
from lowtide.providers.openai_profiles import OPENAI
from lowtide.request import Endpoint

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "tests" / "contract" / "samples"
SHARED = ROOT.parent / "shared" / "data"
FAMILIES = (TokenizerFamily.O200K, TokenizerFamily.CL100K)
COUNTER = installed_counter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text of some kind with its exact count by one family."""

    kind: str
    family: TokenizerFamily
    text: str
    tokens: int

    @property
    def error(self) -> float:
        """What we judge over what it is, less one."""
        return text_tokens(self.text, self.family) / max(1, self.tokens) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recorded body, read, with the input tokens that its provider reported."""

    name: str
    family: TokenizerFamily
    facts: BodyFacts
    tokens: int

    def likely(self, *, exact: bool = False) -> int:
        """What we say of it."""
        model = Model(provider="", name="", context_tokens=1_000_000, output_tokens_max=1, tokenizer=self.family)
        return estimate_input(self.facts, model, text=self.facts.text, counter=COUNTER if exact else None).likely

    @property
    def bound(self) -> int:
        """What it can never pass."""
        return self.facts.content_bytes

    @property
    def error(self) -> float:
        """What we judge over what it is, less one."""
        return self.likely() / self.tokens - 1


def samples() -> Iterator[Text]:
    """Give the samples, with the counts that lie beside them."""
    for line in (SAMPLES / "token-texts.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        for family in FAMILIES:
            yield Text(kind=sample["kind"], family=family, text=sample["text"], tokens=sample[str(family)])


def texts() -> Iterator[Text]:
    """Give the samples, and what lies beside the project where it can be counted."""
    yield from samples()
    if COUNTER is None:
        return
    for kind, text in shared_texts():
        for family in FAMILIES:
            yield Text(kind=kind, family=family, text=text, tokens=COUNTER(text, family) or 0)


def shared_texts() -> Iterator[tuple[str, str]]:
    """Give whole corpora by kind, where they are present."""
    for path in sorted((SHARED / "prompts").glob("product-ideas/*.md")):
        yield "all product ideas", path.read_text(encoding="utf-8")
    for name, kind, key in (
        ("gsm8k-test", "all maths questions", "question"),
        ("gsm8k-test", "all maths answers", "answer"),
        ("vicuna-bench-questions", "all bench questions", "turns"),
    ):
        path = SHARED / "prompts" / f"{name}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            said = json.loads(line)[key]
            yield kind, said if isinstance(said, str) else "\n".join(said)
    for path in sorted((SHARED.parent / "seeds").glob("*.txt")):
        yield "all notes, one of three Swedish", path.read_text(encoding="utf-8")
    for path in sorted((SHARED / "bpmn").glob("*.bpmn")):
        try:
            xml = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        names = "\n".join(re.findall(r' name="([^"]+)"', xml))
        yield "all BPMN XML", xml[:20_000]
        if len(names) > 200:
            yield "all BPMN names", names


def recordings() -> Iterator[Recorded]:
    """Give every recorded body whose length is in its letters, of the samples and of the larger corpus where present.

    One that was recorded more than once, to the letter and with the same count, is given once.
    """
    given: set[tuple[str, int]] = set()
    sessions = [*SAMPLES.glob("*.json"), *(SHARED / "api" / "sessions").glob("*.json")]
    for session in sorted(sessions):
        content = json.loads(session.read_text(encoding="utf-8"))
        for number, exchange in enumerate(content["exchanges"]):
            found = read_exchange(f"{session.stem[:60]}-{number}", exchange)
            if found is not None and (found.facts.text, found.tokens) not in given:
                given.add((found.facts.text, found.tokens))
                yield found


def read_exchange(name: str, exchange: dict) -> Recorded | None:
    """Read one exchange; ``None`` where it says nothing about the tokens of a text."""
    address = exchange["request"]["url"].split("?")[0]
    asked = (exchange["request"]["body"] or {}).get("json")
    answered = (exchange["response"]["body"] or {}).get("json")
    if exchange["response"]["status"] != 200 or not isinstance(asked, dict) or not isinstance(answered, dict):
        return None
    for part, read in READERS.items():
        if address.endswith(part):
            return read(name, asked, answered)
    return None


def read_anthropic(name: str, asked: dict, answered: dict) -> Recorded | None:
    """Read a message or a count of Anthropic's."""
    usage = answered.get("usage", answered)
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    body = json.dumps(
        {"max_tokens": 1} | {key: value for key, value in asked.items() if key not in ("stream", "betas")}
    )
    facts = anthropic_bodies.read_body(body.encode())
    if isinstance(facts, tuple):
        return None
    newer = re.search(r"opus-4-[78]|fable|mythos|(sonnet|haiku|opus)-[5-9]", facts.model)
    family = TokenizerFamily.CLAUDE_4_7 if newer else TokenizerFamily.CLAUDE_3
    return _recorded(name, family, facts, sum(usage.get(one) or 0 for one in names))


def read_openai(name: str, asked: dict, answered: dict, endpoint: Endpoint) -> Recorded | None:
    """Read a completion, a response or a count of OpenAI's."""
    usage = answered.get("usage") or answered
    tokens = usage.get("prompt_tokens", usage.get("input_tokens"))
    kept = {key: value for key, value in asked.items() if key not in ("stream", "background", "stream_options")}
    body = json.dumps(kept).encode()
    facts = openai_bodies.read_body(body, endpoint=endpoint, profile=OPENAI, output_limit=lambda _: 1_000)
    if isinstance(facts, tuple) or not tokens:
        return None
    older = re.match(r"gpt-4(-|$)|gpt-3", facts.model)
    return _recorded(name, TokenizerFamily.CL100K if older else TokenizerFamily.O200K, facts, tokens)


def _recorded(name: str, family: TokenizerFamily, facts: BodyFacts, tokens: int) -> Recorded | None:
    if facts.images or facts.input_unbounded or not tokens:
        return None
    return Recorded(name=name, family=family, facts=facts, tokens=tokens)


READERS: dict[str, Callable[[str, dict, dict], Recorded | None]] = {
    "/v1/messages": read_anthropic,
    "/v1/messages/count_tokens": read_anthropic,
    "/chat/completions": lambda name, asked, answered: read_openai(name, asked, answered, Endpoint.CHAT),
    "/v1/responses": lambda name, asked, answered: read_openai(name, asked, answered, Endpoint.RESPONSES),
    "/responses/input_tokens": lambda name, asked, answered: read_openai(name, asked, answered, Endpoint.RESPONSES),
}


def summary(errors: list[float]) -> str:
    """Sum up some errors: their number, on which side, and how far."""
    sizes = sorted(abs(error) for error in errors)
    return (
        f"{len(errors)} | {100 * median(errors):+.0f} % | {100 * median(sizes):.0f} % |"
        f" {100 * sizes[min(len(sizes) - 1, len(sizes) * 95 // 100)]:.0f} %"
    )


def report() -> Iterator[str]:
    """Give the tables."""
    yield "| texts | family | number | side | median error | 95 % error |\n| --- | --- | ---: | ---: | ---: | ---: |"
    by_kind: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one in texts():
        by_kind[one.kind, str(one.family)].append(one.error)
        sort = "interface texts in other languages" if one.kind.startswith("interface") else "samples in English, code"
        if not one.kind.startswith("all "):
            by_kind[f"**{sort}**", str(one.family)].append(one.error)
    for (kind, family), errors in sorted(by_kind.items()):
        yield f"| {kind} | {family} | {summary(errors)} |"
    yield ""
    yield "| recorded bodies | judged by | number | side | median error | 95 % error |\n| --- | --- | ---: | ---: | ---: | ---: |"
    by_family: dict[tuple[str, str], list[float]] = defaultdict(list)
    for body in recordings():
        assert body.tokens <= body.bound, body.name
        by_family[str(body.family), "letters"].append(body.error)
        if body.tokens >= 200:
            by_family[str(body.family), "letters, 200 tokens and more"].append(body.error)
        if COUNTER is not None and body.family in FAMILIES:
            by_family[str(body.family), "vocabulary"].append(body.likely(exact=True) / body.tokens - 1)
    for (family, how), errors in sorted(by_family.items()):
        yield f"| {family} | {how} | {summary(errors)} |"


if __name__ == "__main__":
    for line in report():
        print(line)
