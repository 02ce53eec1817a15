"""The table: CSV or JSON-lines rows and a Jinja2 template in, one request a row, one results file out.

Options used: ``templates`` (the template file, required), ``key_column``, ``model`` and ``max_output_tokens`` (both
before what the template's front part says; a model that only the settings name comes after it). One wave; rows are a stream.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lowtide.errors import Problem
from lowtide.inputs import RowOptions, RowTemplate, batch_form, csv_requests, jsonl_requests, row_template
from lowtide.request import Request
from lowtide.workload import Scope, WorkloadOptions
from lowtide.workloads.lines import HashedLines, head_of, no_text, unreadable
from lowtide.workloads.one_file import OneFile

CSV_SUFFIXES = frozenset({".csv", ".tsv"})
JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson"})


class Table(OneFile):
    """Workload ``table``."""

    name = "table"

    def accepts(self, source: Path) -> bool:
        """Accept a CSV or TSV file, or JSON lines that are no batch file."""
        suffix = source.suffix.lower()
        if not source.is_file():
            return False
        return suffix in CSV_SUFFIXES or (suffix in JSONL_SUFFIXES and batch_form(head_of(source)) is None)

    def read(self, source: Path, options: WorkloadOptions) -> "TableReading":
        """Open the table; nothing is read before the stream is asked for."""
        return TableReading(source, options)


class TableReading:
    """One reading of a table; ``scope`` and ``digest`` are valid when ``requests`` is exhausted."""

    def __init__(self, source: Path, options: WorkloadOptions) -> None:
        self._source = source
        self._options = options
        self._digest = hashlib.sha256()
        self._requests = 0
        self._finished = False

    def requests(self) -> Iterator[Request | Problem]:
        """Stream requests and problems in file order; a template that is wrong stops it before the first row."""
        wrong = no_text(self._source)
        template = [] if wrong else self._template()
        if wrong is not None:
            yield Problem(where=self._source.name, what=wrong[0], hint=wrong[1])
        elif isinstance(template, list):
            yield from template
        else:
            try:
                for item in self._rows(template):
                    self._requests += isinstance(item, Request)
                    yield item
            except OSError as error:
                yield Problem(where=str(self._source), what=unreadable(error))
        self._finished = True

    def scope(self) -> Scope:
        """Give the plan's part: one wave, nothing frozen."""
        assert self._finished, "scope() is asked for after requests() is exhausted"
        templates = self._options.templates
        facts = {
            "file": self._source.name,
            "rows": str(self._requests),
            "template": templates.name if templates else "",
        }
        return Scope(workload=Table.name, frozen=b"", waves=1, title=self._source.name, facts=facts)

    def digest(self) -> str:
        """Give the SHA-256 of the template, the key column and limit, and the table."""
        assert self._finished, "digest() is asked for after requests() is exhausted"
        return self._digest.hexdigest()

    def _template(self) -> RowTemplate | list[Problem]:
        path = self._options.templates
        if path is None:
            hint = "give a Jinja2 file: --template FILE"
            what = "a table needs a template"
            if self._source.suffix.lower() in JSONL_SUFFIXES:
                what = "no line in its beginning has a custom_id, so it is no batch file; a table needs a template"
            return [Problem(where=self._source.name, what=what, hint=hint)]
        try:
            content = path.read_bytes()
        except OSError as error:
            return [Problem(where=str(path), what=unreadable(error))]
        for part in (content, self._options.key_column.encode(), str(self._options.max_output_tokens).encode()):
            self._digest.update(len(part).to_bytes(8, "big") + part)
        try:
            return row_template(content.decode("utf-8").replace("\r\n", "\n"), file=path.name)
        except UnicodeDecodeError:
            return [Problem(where=str(path), what="the template is not UTF-8", hint="save it as UTF-8")]

    def _rows(self, template: RowTemplate) -> Iterator[Request | Problem]:
        options = RowOptions(
            model=self._options.model if self._options.model_said else "",
            model_default=self._options.model,
            key_column=self._options.key_column,
            max_output_tokens=self._options.max_output_tokens,
        )
        reader = csv_requests if self._source.suffix.lower() in CSV_SUFFIXES else jsonl_requests
        lines = HashedLines(self._source, self._digest)
        found = False
        for item in reader(lines, file=self._source.name, template=template, options=options):
            found = True
            yield item
        if not found:
            yield Problem(where=self._source.name, what="the table has no rows")


WORKLOAD = Table()
