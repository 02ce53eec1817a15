"""Reads the lines of a batch's input file, when the batch is validated and not before.

Here: each line's envelope, what fails the whole batch, and what only fails its own line. Not here: the life of the batch
(``batches``). Law: a line's number counts from 1; the first bad lines are all reported, up to a limit.

Source: reference sheet of OpenAI's API, section 2.2, checked 2026-11-21. OpenAI publishes no closed list of codes; those
that only Azure documents are used where nothing else is known. Chosen here: a missing ``model``, ``messages`` or ``input``
fails the batch, any other mistake in a body fails its line with a 400.
"""

import hashlib
from array import array
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lowtide_simulator.answers import Chances
from lowtide_simulator.caching import Cut
from lowtide_simulator.openai.caching import Served
from lowtide_simulator.openai.errors import Refusal, error_json
from lowtide_simulator.openai.files import Content
from lowtide_simulator.openai.models import CacheWrites, Model
from lowtide_simulator.openai.profiles import Profile
from lowtide_simulator.openai.usage import Usage
from lowtide_simulator.openai.validation import CHAT, RESPONSES, Context
from lowtide_simulator.openai.work import prompt_digest, work_of

DIGEST_BYTES: Final = 32
DRAW: Final = 1 << 32
REPORTED_MAX: Final = 20
BOM: Final = b"\xef\xbb\xbf"
NEEDED: Final = {CHAT: "messages", RESPONSES: "input"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineError:
    """One entry of a batch's ``errors``; ``line`` is None for the file as a whole."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the batch object."""
        return {"code": self.code, "line": self.line, "message": self.message, "param": self.param}


@dataclass(slots=True)
class Columns:
    """The requests of a batch: bodies stay in the file's spool, everything else is one number a request."""

    content: Content
    custom_ids: list[str] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("I"))
    digests: bytearray = field(default_factory=bytearray)
    draws: bytearray = field(default_factory=bytearray)
    prompt: "array[int]" = field(default_factory=lambda: array("I"))
    output: "array[int]" = field(default_factory=lambda: array("I"))
    reasoning: "array[int]" = field(default_factory=lambda: array("I"))
    problems: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Status and error body of a request that cannot succeed."""
    cuts: dict[int, tuple[Cut, ...]] = field(default_factory=dict)
    served: dict[int, Served] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.custom_ids)

    def digest(self, index: int) -> bytes:
        """SHA-256 of a request's canonical body."""
        return bytes(self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    def draw(self, index: int, number: int) -> float:
        """A fixed number in [0, 1) for each request and purpose, taken from its body and its id."""
        start = index * DIGEST_BYTES + 4 * number
        return int.from_bytes(self.draws[start : start + 4], "big") / DRAW

    def usage(self, index: int, model: Model) -> Usage:
        """What a succeeded request used."""
        served = self.served.get(index, Served())
        return Usage(
            prompt=self.prompt[index],
            cached=served.cached,
            write_30m=served.write_30m,
            write_12h=served.write_12h,
            output=self.output[index],
            reasoning=self.reasoning[index],
            paid_writes=model.cache is CacheWrites.PAID,
        )


class Intake:
    """Reads a whole file; afterwards either ``errors`` says why the batch fails, or ``columns`` and ``model`` are there."""

    def __init__(self, endpoint: str, context: Context, profile: Profile, seed: int, chances: Chances) -> None:
        self.errors: list[LineError] = []
        self.model: Model | None = None
        self._name: str | None = None
        self._endpoint = endpoint
        self._path = endpoint if endpoint.startswith("/v1") else "/v1" + endpoint
        self._context = context
        self._profile = profile
        self._seed = seed
        self._chances = chances
        self._seen: set[str] = set()
        self._shared_cuts: dict[Cut, Cut] = {}

    def read(self, content: Content) -> Columns:
        """Every line of the file."""
        self.columns = Columns(content)
        for number, raw in enumerate(content, 1):
            if number == 1 and raw.startswith(BOM) and self._profile.refuses_bom:
                self._fail("invalid_json_line", "The file begins with a byte order mark.", number)
                return self.columns
            line = raw.removeprefix(BOM).strip()
            if line:
                self._line(line, number)
            if len(self.errors) >= REPORTED_MAX:
                return self.columns
            if len(self.columns) > self._profile.batch_requests_max:
                most = self._profile.batch_requests_max
                self.errors = []
                self._fail(
                    "too_many_tasks", f"The batch input file has too many requests. The maximum is {most}.", None
                )
                return self.columns
        if not len(self.columns) and not self.errors:
            self._fail("empty_file", "The batch input file is empty.", None)
        return self.columns

    def _fail(self, code: str, message: str, line: int | None, param: str | None = None) -> None:
        self.errors.append(LineError(code=code, message=message, line=line, param=param))

    def _line(self, line: bytes, number: int) -> None:
        try:
            decoded = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._fail("invalid_json_line", "This line is not parseable as valid JSON.", number)
            return
        if not isinstance(decoded, dict):
            self._fail("invalid_json_line", "This line is not a JSON object.", number)
            return
        for name, kind, words in (
            ("custom_id", str, "a string"), ("method", str, "a string"), ("url", str, "a string"), ("body", dict, "an object")
        ):  # fmt: skip
            if name not in decoded:
                self._fail("missing_required_parameter", f"Missing required parameter: '{name}'.", number, name)
                return
            if not isinstance(decoded[name], kind):
                self._fail("invalid_type", f"Invalid type for '{name}': expected {words}.", number, name)
                return
        if self._envelope(decoded, number):
            self._body(decoded["custom_id"], decoded["body"], number)

    def _envelope(self, decoded: dict[str, Any], number: int) -> bool:
        unknown = sorted(decoded.keys() - {"custom_id", "method", "url", "body"})
        if unknown and self._profile.strict:
            self._fail("unknown_parameter", f"Unknown parameter: '{unknown[0]}'.", number, unknown[0])
            return False
        if decoded["method"] != "POST":
            message = f"Invalid method: '{decoded['method']}'. The only supported method is 'POST'."
            self._fail("invalid_method", message, number, "method")
            return False
        if decoded["url"] != self._endpoint:
            message = f"The URL '{decoded['url']}' provided for this request does not match the batch endpoint '{self._endpoint}'."
            self._fail("url_mismatch", message, number, "url")
            return False
        custom_id = decoded["custom_id"]
        if custom_id in self._seen:
            message = (
                f"The custom_id '{custom_id}' for this request is a duplicate of another request. The custom_id parameter "
                "must be unique for each request in a batch."
            )
            self._fail("duplicate_custom_id", message, number, "custom_id")
            return False
        self._seen.add(custom_id)
        return True

    def _body(self, custom_id: str, body: dict[str, Any], number: int) -> None:
        for name in ("model", NEEDED[self._path]):
            if name not in body:
                message = f"Missing required parameter: 'body.{name}'."
                self._fail("missing_required_parameter", message, number, f"body.{name}")
                return
        name = body["model"]
        if self._name is None:
            self._name = name
        elif name != self._name:
            message = (
                f"The provided model '{name}' does not match the model '{self._name}' of the batch. Please ensure that all "
                "requests in the batch use the same model."
            )
            self._fail("mismatched_model", message, number, "body.model")
            return
        self._take(custom_id, body, number)

    def _take(self, custom_id: str, body: dict[str, Any], number: int) -> None:
        columns = self.columns
        index = len(columns)
        try:
            work = work_of(self._path, body, self._context, self._seed, self._chances)
        except Refusal as refusal:
            if refusal.code == "model_not_found":
                message = f"The provided model '{body['model']}' is not supported by the Batch API."
                self._fail("model_not_found", message, number, "body.model")
                return
            columns.problems[index] = (
                refusal.status, error_json(refusal.message, refusal.kind, refusal.param, refusal.code)
            )  # fmt: skip
            columns.digests += prompt_digest(body)
            for column in (columns.prompt, columns.output, columns.reasoning):
                column.append(0)
        else:
            self.model = work.model
            columns.digests += work.digest
            columns.prompt.append(work.prompt_tokens)
            columns.output.append(work.output_tokens)
            columns.reasoning.append(sum(answer.thinking_tokens for answer in work.answers))
            if work.cuts:
                columns.cuts[index] = tuple(self._shared_cuts.setdefault(cut, cut) for cut in work.cuts)
        columns.draws += hashlib.sha256(columns.digest(index) + custom_id.encode("utf-8", "surrogatepass")).digest()
        columns.custom_ids.append(custom_id)
        columns.lines.append(number - 1)

    @property
    def name(self) -> str:
        """What the lines call the model."""
        return self._name or ""

    def queued_tokens(self) -> int:
        """Prompt tokens of the whole file."""
        return sum(self.columns.prompt)
