"""What the simulated model says.

Here: an answer's blocks, its length and why it stopped, all from the seed and the body's digest. Not here: the message
around it (``messages``). Law: the same seed and body give the same answer; ``output_tokens`` never passes
``max_tokens``; every text begins with ``[simulated]``; a schema, a forced tool and stop sequences are honoured.
"""

import math
import random
import string
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from lowtide_simulator import tokens
from lowtide_simulator.models import Tokenizer

MARK: Final = "[simulated]"
REFUSALS: Final = ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")

SENTENCES: Final = (
    "The request arrives with a reference and a date, and the reference is checked before anything else. ",
    "When the amount is above the agreed limit, a second person confirms it; otherwise the flow goes on. ",
    "- The customer receives a short note in plain words.\n",
    "- A rejected case keeps its reason, so that nobody has to ask twice.\n",
    "Each outcome is recorded once, with the time at which it became known. ",
    "In the café the clerk writes “naïve” and “größer” — odd letters must survive the trip. ",
    "If the reply does not come within two days, the case returns to its owner. ",
    "\n\n## Details\n\n",
    "The rule is simple: what cannot be priced is not sent. ",
    "Preconditions: the account is open, the document is complete, and the deadline has not passed. ",
    "The result is stored beside its source and read back once. ",
    "Exceptions are listed below with the step at which they occur. ",
)


def _corpus() -> str:
    """About 300,000 characters of prose, from which answers are cut."""
    chance = random.Random(20261121)
    return "".join(chance.choice(SENTENCES) for _ in range(4_000))


CORPUS: Final = _corpus()
WORDS: Final = ("order", "invoice", "review", "payment", "ledger", "harbour", "tide", "notice", "draft", "receipt")


class Voice(Protocol):
    """What a model must have to write: the tokenizer that its answers are counted with."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Which one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """Shares of answers that end in a special way, and how long answers are (in tokens; spread of the logarithm)."""

    refusal: float = 0.0
    max_tokens: float = 0.0
    length_median: int = 400
    length_spread: float = 0.6
    length_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was generated. ``blocks`` are response content blocks; ``output_tokens`` includes ``thinking_tokens``."""

    blocks: list[dict[str, Any]]
    stop_reason: str
    stop_sequence: str | None = None
    refusal_category: str | None = None
    output_tokens: int = 0
    thinking_tokens: int = 0


class Writer:
    """Writes one answer: a short life with its own chance, drawn from the seed and the body's digest."""

    def __init__(self, params: dict[str, Any], digest: bytes, model: Voice, seed: int, chances: Chances) -> None:
        self.params = params
        self.digest = digest.hex()
        self.model = model
        self.chances = chances
        self.chance = random.Random(seed ^ int.from_bytes(digest[:8], "big"))
        self.limit: int = params["max_tokens"]

    def write(self) -> Answer:
        """The whole answer."""
        if self.limit == 0:
            return Answer(blocks=[], stop_reason="max_tokens")
        draw = self.chance.random()
        if draw < self.chances.refusal:
            return self._refusal()
        full = draw < self.chances.refusal + self.chances.max_tokens
        target = self._target()
        thinking, thought = self._thinking(target)
        room = self.limit - thought
        tool = self._tool()
        if tool is not None:
            answer = self._tool_use(tool, room)
        elif (self.params.get("output_config") or {}).get("format"):
            answer = self._structured(room)
        else:
            answer = self._text(target, room, full=full)
        return Answer(
            blocks=[*thinking, *answer.blocks],
            stop_reason=answer.stop_reason,
            stop_sequence=answer.stop_sequence,
            output_tokens=thought + answer.output_tokens,
            thinking_tokens=thought,
        )

    def _target(self) -> int:
        """How long the model wants to write, in tokens."""
        chances = self.chances
        if chances.length_share is not None:
            return max(1, round(self.limit * chances.length_share * self.chance.uniform(0.8, 1.2)))
        return max(1, round(self.chance.lognormvariate(math.log(chances.length_median), chances.length_spread)))

    def _count(self, value: str) -> int:
        return max(1, tokens.text_tokens(value, self.model.tokenizer))

    def _prose(self, target: int) -> str:
        """Marked text of about ``target`` tokens."""
        head = f"{MARK}\nprompt-digest: {self.digest[:12]}\n\n"
        size = max(1, int(target * tokens.BYTES_PER_TOKEN[self.model.tokenizer]) - len(head))
        start = self.chance.randrange(len(CORPUS))
        pieces = [head]
        while size > 0:
            piece = CORPUS[start : start + size]
            pieces.append(piece)
            size -= len(piece)
            start = 0
        return "".join(pieces)

    def _fit(self, value: str, room: int) -> str:
        """The longest beginning of ``value`` of at most ``room`` tokens."""
        size = int(room * tokens.BYTES_PER_TOKEN[self.model.tokenizer])
        return value.encode()[:size].decode("utf-8", "ignore")

    def _text(self, target: int, room: int, *, full: bool) -> Answer:
        value = self._prose(room + 8 if full else target)
        reason, sequence = "end_turn", None
        found = [(value.find(text), text) for text in self.params.get("stop_sequences") or () if text in value]
        if found:
            at, sequence = min(found)
            value, reason = value[:at], "stop_sequence"
        if self._count(value) > room:
            value, reason, sequence = self._fit(value, room), "max_tokens", None
        blocks = [{"type": "text", "text": value}] if value else []
        count = min(room, self._count(value))
        return Answer(blocks=blocks, stop_reason=reason, stop_sequence=sequence, output_tokens=count)

    def _thinking(self, target: int) -> tuple[list[dict[str, Any]], int]:
        thinking = self.params.get("thinking") or {}
        if thinking.get("type") not in ("enabled", "adaptive") or self.limit < 16:
            return [], 0
        budget = min(thinking.get("budget_tokens", self.limit), self.limit // 2)
        value = self._fit(f"{MARK} Thinking about {self.digest[:12]}. " + self._prose(max(1, target // 3)), budget)
        count = min(budget, self._count(value))
        signature = "c2ltdWxhdGVk" + self.digest * 2
        shown = "" if thinking.get("display") == "omitted" else value
        return [{"type": "thinking", "thinking": shown, "signature": signature}], count

    def _tool(self) -> dict[str, Any] | None:
        """The tool to call: the forced one, or one of the user's by chance; none after a tool result."""
        mine = [t for t in self.params.get("tools") or () if t.get("type") in (None, "custom")]
        choice = self.params.get("tool_choice") or {"type": "auto"}
        match choice["type"]:
            case "tool":
                return next((t for t in mine if t["name"] == choice["name"]), None)
            case "none":
                return None
            case "any":
                return self.chance.choice(mine) if mine else None
            case _:
                last = self.params["messages"][-1]["content"]
                answered = isinstance(last, list) and any(b["type"] == "tool_result" for b in last)
                return self.chance.choice(mine) if mine and not answered else None

    def _tool_use(self, tool: dict[str, Any], room: int) -> Answer:
        value = Instance(self).make(tool["input_schema"])
        value = value if isinstance(value, dict) else {}
        block = {
            "type": "tool_use",
            "id": "toolu_01" + self.digest[:22],
            "name": tool["name"],
            "input": value,
            "caller": {"type": "direct"},
        }
        count = tokens.json_tokens(block["input"], self.model.tokenizer) + 10
        if count > room:
            return Answer(blocks=[], stop_reason="max_tokens", output_tokens=room)
        return Answer(blocks=[block], stop_reason="tool_use", output_tokens=count)

    def _structured(self, room: int) -> Answer:
        schema = self.params["output_config"]["format"]["schema"]
        value = msgspec.json.encode(Instance(self).make(schema)).decode()
        reason = "end_turn"
        if self._count(value) > room:
            value, reason = self._fit(value, room), "max_tokens"
        return Answer(
            blocks=[{"type": "text", "text": value}], stop_reason=reason, output_tokens=min(room, self._count(value))
        )

    def _refusal(self) -> Answer:
        """Half of the refusals come before any output, half in the middle of it."""
        category = self.chance.choice(REFUSALS)
        if self.chance.random() < 0.5:
            return Answer(blocks=[], stop_reason="refusal", refusal_category=category, output_tokens=1)
        partial = self._text(min(self._target(), self.limit), self.limit, full=False)
        return Answer(
            blocks=partial.blocks,
            stop_reason="refusal",
            refusal_category=category,
            output_tokens=partial.output_tokens,
        )


class Instance:
    """Makes a value that a JSON schema accepts: all properties present, first branch of a union, short lists."""

    def __init__(self, writer: Writer) -> None:
        self.chance = writer.chance
        self.first_text = f"{MARK} prompt-digest: {writer.digest[:12]}"
        self.root: dict[str, Any] = {}

    def make(self, schema: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
        """A value for the whole schema."""
        self.root = schema
        return self._value(schema, 0)

    def _value(self, schema: Any, depth: int) -> Any:  # noqa: ANN401 - one return a kind of schema
        if not isinstance(schema, dict) or depth > 20:
            return None
        if "$ref" in schema:
            return self._value(self._resolve(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.chance.choice(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self._value(schema[key][0], depth + 1)
        if schema.get("allOf"):
            return self._merged(schema["allOf"], depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        if kind is None:
            kind = "object" if "properties" in schema else "string"
        return self._of_type(kind, schema, depth)

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:  # noqa: ANN401 - any JSON value
        match kind:
            case "object":
                return {name: self._value(inner, depth + 1) for name, inner in (schema.get("properties") or {}).items()}
            case "array":
                least = schema.get("minItems", 0)
                count = max(least, self.chance.randint(1, 3))
                return [self._value(schema.get("items") or {"type": "string"}, depth + 1) for _ in range(count)]
            case "integer":
                return self.chance.randint(0, 100)
            case "number":
                return round(self.chance.uniform(0, 100), 2)
            case "boolean":
                return self.chance.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(schema.get("format"))

    def _string(self, form: str | None) -> str:
        match form:
            case "date":
                return "2026-11-21"
            case "date-time":
                return "2026-11-21T10:00:00Z"
            case "time":
                return "10:00:00Z"
            case "email":
                return "simulated@example.org"
            case "uri":
                return "https://example.org/simulated"
            case "uuid":
                return "00000000-0000-4000-8000-000000000000"
            case _:
                text, self.first_text = self.first_text, MARK
                return f"{text} {' '.join(self.chance.choice(WORDS) for _ in range(6))}"

    def _merged(self, parts: list[Any], depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for part in parts:
            value = self._value(part, depth + 1)
            if isinstance(value, dict):
                merged |= value
        return merged

    def _resolve(self, reference: str) -> Any:  # noqa: ANN401 - a schema, or nothing
        found: Any = self.root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


assert not set(MARK) - set(string.printable)
