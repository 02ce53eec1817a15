"""The BPMN workload: a folder of process models in, a document for each node that the table names out.

Work runs in waves, children first, so that the prompt of a parent quotes the finished documents of its parts. The
reading is the only part that touches the disk; from then on ``Scope.frozen`` is all there is, and every answer here is a
pure function of it. Options used: ``model``, ``language``, ``templates`` (a folder), ``documents`` (a table), ``strict``,
``threshold`` and ``split``.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from lowtide.errors import Problem, counted
from lowtide.request import Neutral, Request, RequestKey
from lowtide.workload import (
    Answer,
    Answers,
    Delivery,
    Document,
    LaterWave,
    PromptThreshold,
    Quotes,
    Scope,
    WorkloadOptions,
)
from lowtide.workloads.bpmn.delivery import write_document, write_indexes
from lowtide.workloads.bpmn.dividing import Division, divide, is_near
from lowtide.workloads.bpmn.frozen import (
    FORMAT,
    FORMAT_DIVIDED,
    Frame,
    Frozen,
    frame_of,
    freeze,
    kind_of,
    name_keys,
)
from lowtide.workloads.bpmn.hierarchy import UNDIVIDED, Calls, Forest, Slices, follow_calls, plan_waves
from lowtide.workloads.bpmn.model import Model
from lowtide.workloads.bpmn.parsing import FILE_BYTES_MAX
from lowtide.workloads.bpmn.prompts import Draft, TemplateFailed
from lowtide.workloads.bpmn.reader import read_model
from lowtide.workloads.bpmn.sources import Setting, bpmn_files, is_bpmn, read_setting
from lowtide.workloads.lines import unreadable

WARNINGS_MAX: Final = 1_000
"""Most warnings that a plan keeps; how many more there were is its last."""

UNFINISHED: Final = Answer(text=None, reason="not made")


class Bpmn:
    """Workload ``bpmn``."""

    name = "bpmn"
    goes_on = True  # one broken file leaves the others as they are
    divides = True

    def accepts(self, source: Path) -> bool:
        """Accept a BPMN file, or a folder that holds one at any depth."""
        if source.is_dir():
            return next(iter(bpmn_files(source)), None) is not None
        return source.is_file() and is_bpmn(source)

    def read(self, source: Path, options: WorkloadOptions) -> "BpmnReading":
        """Open the folder; nothing is read before the stream is asked for."""
        return BpmnReading(source, options)

    def next_wave(self, scope: Scope, wave: int, answers: Answers) -> Iterator[Request]:
        """Make a later wave's requests, file by file in the order of the models.

        A child that failed leaves a gap that the prompt names. With ``strict`` its parent is not asked for at all, nor
        the parent's own parent: whoever has no answer blocks.
        """
        frame = frame_of(scope.frozen)
        assert 0 < wave < frame.waves, f"there is no wave {wave} after the first among {frame.waves}"
        finished = _Finished(answers)
        for number in frame.numbers_of(wave):
            draft, depends_on = _draft_of(frame, number)
            undivided = frame.undivided(number)
            if frame.frozen.strict and any(finished.answer(key).text is None for key in (*depends_on, *undivided)):
                continue  # of a document that will not be made no part is asked for either
            finished.keep(depends_on)
            text = frame.prompts.fill(draft, finished.answer)
            if not frame.frozen.planned[number].part:
                # What a part had to do without is missing in the whole, too, and is named there.
                depends_on = (*depends_on, *undivided)
            yield _request(frame, number, text=text, depends_on=depends_on)

    def place(self, scope: Scope, key: RequestKey) -> PurePosixPath | None:
        """Say where a document goes: ``{file}/{node}/{document type}.md``, each part made safe (promise 10).

        Raises: KeyError for a key that is not of this plan.
        """
        return frame_of(scope.frozen).place_of(key)

    def document(self, scope: Scope, delivery: Delivery) -> Document:
        """Write one document with its front matter."""
        return write_document(frame_of(scope.frozen), delivery)

    def indexes(self, scope: Scope, finished: Mapping[RequestKey, str]) -> Iterable[Document]:
        """Write the page of each file."""
        return write_indexes(frame_of(scope.frozen), finished)


class _Finished:
    """Answers looked up once for all documents of one node, which follow each other and quote the same ones."""

    __slots__ = ("_answers", "_kept")

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._kept: dict[RequestKey, Answer] = {}

    def answer(self, key: RequestKey) -> Answer:
        if key not in self._kept:
            self._kept[key] = self._answers.get(key) or UNFINISHED
        return self._kept[key]

    def keep(self, keys: Iterable[RequestKey]) -> None:
        """Forget every answer but these, so that one node's children are all that is ever held."""
        wanted = set(keys)
        for key in [kept for kept in self._kept if kept not in wanted]:
            del self._kept[key]


def _draft_of(frame: Frame, number: int) -> tuple[Draft, tuple[RequestKey, ...]]:
    document = frame.frozen.planned[number]
    quoted = frame.quoted(number)
    draft = frame.prompts.draft(document, quoted)
    return draft, tuple(quote.key for quote in draft.quoted)


def _request(frame: Frame, number: int, *, text: str, depends_on: tuple[RequestKey, ...]) -> Request:
    document = frame.frozen.planned[number]
    kind = frame.frozen.table.types[document.row]
    file = frame.forest.file_of[document.node]
    body = Neutral(
        system=frame.prompts.system(),
        shared=(frame.prompts.overview(file),),
        text=text,
        max_output_tokens=kind.max_output_tokens,
    )
    return Request(
        key=frame.frozen.keys[number],
        model=frame.frozen.model,
        body=body,
        kind=kind_of(document, frame.frozen.table),
        source=frame.frozen.models[file].file,
        depends_on=depends_on,
    )


class BpmnReading:
    """One reading of a folder; ``scope`` and ``digest`` are valid when ``requests`` is exhausted.

    Models are held together, because calls cross files; prompts are made one by one.
    """

    def __init__(self, source: Path, options: WorkloadOptions) -> None:
        self._source = source
        self._options = options
        self._digest = hashlib.sha256()
        self._scope: Scope | None = None
        self._left_out = 0

    def requests(self) -> Iterator[Request | Problem]:
        """Stream every problem, then the first wave."""
        setting = read_setting(self._options)
        if isinstance(setting, list):
            yield from setting
            self._scope = self._nothing()
            return
        if not self._options.model:
            yield Problem(where="--model", what="no model is named", hint="give one with --model")
        self._feed(setting.content, self._options.language.encode(), str(self._options.strict).encode())
        if self._options.split:
            self._feed(repr(self._options.threshold).encode())
        models: list[Model] = []
        for item in self._models():
            if isinstance(item, Problem):
                self._left_out += 1
                yield item
            else:
                models.append(item)
        yield from self._plan(setting, models)

    def scope(self) -> Scope:
        """Give what the plan keeps."""
        assert self._scope is not None, "scope() is asked for after requests() is exhausted"
        return self._scope

    def digest(self) -> str:
        """Give the SHA-256 of every file, the table, the templates, the language, strictness and how long prompts are divided."""
        assert self._scope is not None, "digest() is asked for after requests() is exhausted"
        return self._digest.hexdigest()

    def _feed(self, *parts: bytes) -> None:
        for part in parts:
            self._digest.update(len(part).to_bytes(8, "big"))
            self._digest.update(part)

    def _models(self) -> Iterator[Model | Problem]:
        found = False
        for file, path in bpmn_files(self._source):
            found = True
            try:
                with path.open("rb") as handle:
                    content = handle.read(FILE_BYTES_MAX + 1)
            except OSError as error:
                yield Problem(where=file, what=unreadable(error))
                continue
            self._feed(file.encode(), content)
            yield read_model(content, file=file)
        if not found:
            hint = "a BPMN file's name ends in .bpmn, .bpmn2 or .bpmn20.xml"
            yield Problem(where=str(self._source), what="there is no BPMN file here", hint=hint)

    def _plan(self, setting: Setting, models: list[Model]) -> Iterator[Request | Problem]:
        calls = follow_calls(models)
        forest = Forest(models, calls.targets)
        content = freeze(self._frozen(setting, calls, forest, UNDIVIDED))
        frame = frame_of(content)
        planned = frame.frozen.planned
        if models and not planned:
            what = f"the table of documents names nothing for any of {len(forest.nodes)} nodes"
            yield Problem(where=str(self._options.documents or self._source), what=what)
        # A template that fails is found before the first request leaves here: nothing is planned with half a template.
        failures: set[Problem] = set()
        yield from _checked(frame, failures, dividing=self._options.split)
        threshold = self._options.threshold
        division = Division()
        if self._options.split and threshold is not None and not failures:
            division = yield from _divided(frame, failures, threshold)
            if division.slices:
                content = freeze(self._frozen(setting, calls, forest, division.slices))
                frame = frame_of(content)
        later = []
        for wave in range(1, frame.waves):
            totals = _Totals(threshold)
            for number in frame.numbers_of(wave):
                draft = yield from _drafted(frame, number, failures)
                if draft is not None:
                    totals.add(frame, number, draft)
            later.append(totals.rows())
        for number in _samples(frame, frame.numbers_of(0)):
            yield from _drafted(frame, number, failures)
        if failures:
            self._scope = self._nothing()
            return
        for number in frame.numbers_of(0):
            draft = yield from _drafted(frame, number, failures)
            if draft is not None:
                yield _request(frame, number, text=frame.prompts.fill(draft, _never), depends_on=())
        warnings = [*(f"{model.file}: {text}" for model in models for text in model.warnings), *calls.warnings]
        if threshold is not None:
            warnings[:0] = _told(frame, division, threshold)
        self._scope = Scope(
            workload=Bpmn.name,
            frozen=content,
            waves=frame.waves,
            later=tuple(later),
            title=self._source.name,
            facts=self._facts(frame, warnings),
        )

    def _frozen(self, setting: Setting, calls: Calls, forest: Forest, slices: Slices) -> Frozen:
        planned = plan_waves(forest, setting.table, slices)
        return Frozen(
            format=FORMAT_DIVIDED if slices else FORMAT,
            model=self._options.model,
            language=self._options.language,
            strict=self._options.strict,
            table=setting.table,
            templates=setting.templates,
            models=tuple(forest.models),
            targets=tuple(sorted(calls.targets.items())),
            cycles=tuple(sorted(set(forest.cycles.values()))),
            planned=tuple(planned),
            keys=name_keys(forest.models, planned, setting.table),
        )

    def _nothing(self) -> Scope:
        """Give the scope of an input of which nothing can be asked."""
        return Scope(workload=Bpmn.name, frozen=b"", waves=0, title=self._source.name)

    def _facts(self, frame: Frame, warnings: list[str]) -> Mapping[str, str]:
        more = len(warnings) - WARNINGS_MAX
        kept = [*warnings[:WARNINGS_MAX], f"and {more} more warnings"] if more > 0 else warnings
        return {
            "files": str(len(frame.frozen.models)),
            "files_left_out": str(self._left_out),
            "nodes": str(len(frame.forest.nodes)),
            "documents": str(sum(not document.part for document in frame.frozen.planned)),
            "parts": str(sum(document.part > 0 for document in frame.frozen.planned)),
            "calls_followed": str(len(frame.frozen.targets)),
            "language": frame.frozen.language,
            "warnings": json.dumps(kept, ensure_ascii=False),
        }


def _samples(frame: Frame, numbers: Iterable[int]) -> Iterable[int]:
    """Give one document of each kind of node and type: what is tried before the whole wave is made."""
    found: dict[tuple[str, int], int] = {}
    for number in numbers:
        document = frame.frozen.planned[number]
        found.setdefault((frame.forest.nodes[document.node].kind, document.row), number)
    return found.values()


def _checked(frame: Frame, failures: set[Problem], *, dividing: bool) -> Iterator[Problem]:
    try:
        frame.prompts.check()
        if dividing:
            frame.prompts.check_dividing()
    except TemplateFailed as failed:
        failures.add(failed.problem)
        yield failed.problem


def _told(frame: Frame, division: Division, threshold: PromptThreshold) -> list[str]:
    """Say what was divided, and what could not be."""
    told = []
    if division.slices:
        documents = counted(len(division.slices), "document is", "documents are")
        told.append(
            f"{documents} divided by node into {division.parts:,} parts and a whole: one prompt could pass"
            f" {threshold.tokens:,} tokens"
        )
    told += [
        f"{frame.frozen.keys[number]} could pass {threshold.tokens:,} tokens and cannot be divided by node"
        for number in division.undivided
    ]
    return told


def _divided(frame: Frame, failures: set[Problem], threshold: PromptThreshold) -> Generator[Problem, None, Division]:
    """Divide every document whose prompt could pass the threshold."""
    division = Division()
    for wave in range(1, frame.waves):
        for number in frame.numbers_of(wave):
            draft = yield from _drafted(frame, number, failures)
            if draft is None or not is_near(frame, number, draft, threshold):
                continue
            document = frame.frozen.planned[number]
            slices = divide(frame, number, draft, threshold)
            if slices:
                division.slices[document.node, document.row] = slices
            else:
                division.undivided.append(number)
    return division


def _drafted(frame: Frame, number: int, failures: set[Problem]) -> Generator[Problem, None, Draft | None]:
    """Give the draft of a document, or report why its template fails, each reason once."""
    try:
        frame.prompts.system()
        return _draft_of(frame, number)[0]
    except TemplateFailed as failed:
        if failed.problem not in failures:
            failures.add(failed.problem)
            yield failed.problem
        return None


def _never(key: RequestKey) -> Answer:
    raise AssertionError(f"the first wave quotes nothing, but asked for {key}")


@dataclass(slots=True, kw_only=True)
class _Sum:
    requests: int = 0
    input_bytes_likely: int = 0
    input_bytes_ceiling: int = 0
    output_tokens_ceiling: int = 0
    quoted_bytes_likely: int = 0
    input_bytes_longest: int = 0
    quotes: dict[str, list[int]] = field(default_factory=dict)  # answers and the sum of their limits, by kind


class _Totals:
    """One later wave, summed by document type; what may come near the threshold stands alone, under its key."""

    __slots__ = ("_sums", "_threshold")

    def __init__(self, threshold: PromptThreshold | None) -> None:
        self._threshold = threshold
        self._sums: dict[tuple[str, str], _Sum] = defaultdict(_Sum)

    def add(self, frame: Frame, number: int, draft: Draft) -> None:
        document = frame.frozen.planned[number]
        kind = frame.frozen.table.types[document.row]
        overview = frame.prompts.overview(frame.forest.file_of[document.node])
        around = len(frame.prompts.system().encode()) + len(overview.encode())
        near = self._threshold is not None and is_near(frame, number, draft, self._threshold)
        key = frame.frozen.keys[number] if near else ""
        total = self._sums[kind_of(document, frame.frozen.table), key]
        total.requests += 1
        total.input_bytes_likely += around + draft.bytes_likely
        total.input_bytes_ceiling += around + draft.bytes_ceiling
        total.input_bytes_longest = max(total.input_bytes_longest, around + draft.bytes_ceiling)
        total.output_tokens_ceiling += kind.max_output_tokens
        total.quoted_bytes_likely += draft.quoted_bytes_likely
        for mark in draft.marks:
            quoted = draft.quoted[mark]
            counts = total.quotes.setdefault(quoted.slug, [0, 0])
            counts[0] += 1
            counts[1] += quoted.max_output_tokens

    def rows(self) -> tuple[LaterWave, ...]:
        return tuple(
            LaterWave(
                kind=kind,
                requests=total.requests,
                input_bytes_likely=total.input_bytes_likely,
                input_bytes_ceiling=total.input_bytes_ceiling,
                output_tokens_ceiling=total.output_tokens_ceiling,
                quoted_bytes_likely=total.quoted_bytes_likely,
                input_bytes_longest=total.input_bytes_longest,
                key=key,
                quotes=tuple(
                    Quotes(kind=quoted, answers=answers, tokens_ceiling=limits)
                    for quoted, (answers, limits) in total.quotes.items()
                ),
            )
            for (kind, key), total in self._sums.items()
        )


WORKLOAD = Bpmn()
