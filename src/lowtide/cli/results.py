"""``lowtide results``: what has landed, streamed as JSON lines or CSV, also while the rest still runs.

A batch file's answers come in the form of the provider's own results file, with the user's ``custom_id`` and the
message's bytes untouched. A file is written beside its place and moved there whole.
"""

import asyncio
import csv
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import click
import msgspec

from lowtide.cli.completing import complete_run
from lowtide.cli.desk import desk
from lowtide.cli.options import PATH, Choices, choices, with_json
from lowtide.cli.shapes import CURRENCY, dollars
from lowtide.errors import LowtideError, counted
from lowtide.reports import ResultRow, RunReport

FINAL = ("succeeded", "failed", "canceled")
COLUMNS = (
    "key", "state", "outcome", "code", "error", "model", "route", "wave", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "cost_usd", "text", "simulated",
)  # fmt: skip


@with_json
@click.command(short_help="Write what has landed.")
@click.argument("run_id", metavar="RUN", shell_complete=complete_run)
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="Default: jsonl.")
@click.option(
    "--out", type=PATH, metavar="FILE", help="Write here, whole or not at all, instead of to standard output."
)
@click.option("--failed", is_flag=True, help="Only what failed.")
@click.option("--raw", is_flag=True, help="JSON lines with the provider's whole message, for every kind of input.")
def results(run_id: str, form: str, out: Path | None, failed: bool, raw: bool) -> int:
    """Write what a run has so far, one line a request, in the order of the input."""
    chosen = choices()
    if form == "csv" and (raw or chosen.json):
        raise click.UsageError("a message does not fit into CSV: leave out --raw and --json, or --format csv")
    return asyncio.run(_results(chosen, run_id, form, out, failed=failed, raw=raw))


async def _results(chosen: Choices, run_id: str, form: str, out: Path | None, *, failed: bool, raw: bool) -> int:
    async with desk(chosen) as engine:
        report = await engine.run_report(run_id)
        if report.pruned:
            raise LowtideError(
                f"run {run_id} was pruned: its requests and answers are deleted",
                hint=f"what it cost is in the books: lowtide status {run_id}",
            )
        if out is not None and out.is_dir():  # noqa: ASYNC240 one look at a path
            raise LowtideError(f"{out} is a folder", hint="name a file: --out answers.jsonl")
        rows = engine.results(run_id, states=("failed",) if failed else FINAL)
        lines = (
            _csv(rows)
            if form == "csv"
            else _jsonl(
                rows,
                native=raw or report.workload in ("batch", "adopted"),
                named=report.workload,
                priced=chosen.json,
            )
        )
        count = _write(lines, out, heads=1 if form == "csv" else 0)
    if chosen.json:
        _sum_up(report, count, out)
    elif out is not None and not chosen.quiet:
        rest = report.planned - report.answered - report.failed - report.canceled
        more = f"; {rest:,} more to come" if rest and not failed else ""
        print(f"{counted(count, 'result')} in {out}{more}", file=sys.stderr)
        from lowtide.cli.pictures import stages  # noqa: PLC0415 brings rich

        print(f"took: {stages(report)}", file=sys.stderr)
    return 0


def _sum_up(report: RunReport, count: int, out: Path | None) -> None:
    """Print what the results come to, as one object: on standard output, unless the results themselves went there."""
    from lowtide.cli.shapes import print_json, results_json  # noqa: PLC0415 one of two ways

    print_json(results_json(report, count, out), sys.stdout if out is not None else sys.stderr)


def _jsonl(rows: Iterable[ResultRow], *, native: bool, named: str, priced: bool) -> Iterator[bytes]:
    """Write a line a result; with ``priced`` what it cost stands beside it, where the provider's form has nothing."""
    name = "custom_id" if named in ("batch", "adopted") else "key"
    for row in rows:
        head = b'{"%s":%s,"result":' % (name.encode(), msgspec.json.encode(row.key))
        if native and row.protocol == "openai":
            line = _openai(name, row)
        elif native:
            line = head + _native(row)
        else:
            line = head + msgspec.json.encode(_plain(row))
        yield line + (b"," + msgspec.json.encode(_bill(row))[1:] if priced else b"}") + b"\n"


def _bill(row: ResultRow) -> dict[str, object]:
    """Write what a request cost, and in which money: ``null`` is not known."""
    return {"cost": dollars(row.cost), "currency": CURRENCY, "simulated": row.simulated}


def _openai(name: str, row: ResultRow) -> bytes:
    """Write a result in the form of OpenAI's output and error files, its body untouched. Ids that are gone are null."""
    head = b'{"id":null,"%s":%s,"response":' % (name.encode(), msgspec.json.encode(row.key))
    if row.message is not None:
        return head + b'{"status_code":200,"request_id":null,"body":' + row.message + b'},"error":null'
    code = {"expired": "batch_expired", "canceled": "batch_cancelled"}.get(row.outcome, row.code or row.state)
    return head + b'null,"error":' + msgspec.json.encode({"code": code, "message": row.error})


def _native(row: ResultRow) -> bytes:
    """Write a result in the form of Anthropic's results file, its message untouched."""
    if row.message is not None:
        return b'{"type":"succeeded","message":' + row.message + b"}"
    if row.outcome == "errored" or row.state == "failed":
        error = {"type": "error", "error": {"type": row.code, "message": row.error}}
        return msgspec.json.encode(
            {"type": "errored", "error": error} if row.outcome != "expired" else {"type": "expired"}
        )
    return msgspec.json.encode({"type": row.outcome or row.state})


def _plain(row: ResultRow) -> dict[str, object]:
    """Write a result in our words."""
    if row.text is None:
        return {"type": row.outcome or row.state, "code": row.code, "error": row.error, **_bill(row)}
    return {
        "type": "succeeded",
        "text": row.text,
        "stop_reason": row.code,
        "model": row.model,
        "usage": {
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "cache_read_tokens": row.cache_read_tokens,
            "cache_write_tokens": row.cache_write_tokens,
        },
        **_bill(row),
        "route": row.route,
        "wave": row.wave + 1,
    }


class _Line:
    """A place for one line of CSV."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def take(self) -> bytes:
        line, self.text = self.text, ""
        return line.encode("utf-8", "surrogatepass")


def _csv(rows: Iterable[ResultRow]) -> Iterator[bytes]:
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield line.take()
    for row in rows:
        writer.writerow([
            row.key, row.state, row.outcome, row.code, row.error, row.model, row.route, row.wave + 1, row.input_tokens,
            row.output_tokens, row.cache_read_tokens, row.cache_write_tokens, dollars(row.cost) or "", row.text or "",
            "true" if row.simulated else "false",
        ])  # fmt: skip
        yield line.take()


def _write(lines: Iterator[bytes], out: Path | None, *, heads: int) -> int:
    """Write the lines, the first ``heads`` of which are no results; gives how many results they hold."""
    if out is None:
        sys.stdout.flush()
        return _pour(lines, _binary(sys.stdout), heads)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name[:100]}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            count = _pour(lines, file, heads)
            os.fsync(file.fileno())
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return count


def _binary(stream: TextIO) -> BinaryIO:
    return stream.buffer


def _pour(lines: Iterator[bytes], file: BinaryIO, heads: int) -> int:
    count = 0
    for place, line in enumerate(lines):
        file.write(line)
        count += place >= heads
    file.flush()
    return count
