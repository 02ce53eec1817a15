"""Errors in words: what happened, then ``hint:`` on a line of its own, on standard error. The exit code goes with it.

With ``--json`` the same is one object on standard output, with every problem that was kept in it, and how many there are.
"""

import errno
import json
import re
import sys
from collections.abc import Sequence

import click

from lowtide.cli import PROBLEMS_SHOWN
from lowtide.cli.options import harmless
from lowtide.errors import InputRefused, LowtideError, PlanChanged, Problem

SCHEMA = "lowtide/1"
FILE_HINTS = {
    errno.ENOSPC: "make room and go on; what was written is not lost",
    **dict.fromkeys(
        (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
        "name a place that is there and that you may write, or read, in",
    ),
}
ALIKE_SHOWN = 3  # of problems that say the same of whole files
IN_A_LINE = re.compile(r":\d+(?::|$)")  # a place that no other problem has


def show_usage(error: click.ClickException, *, as_json: bool) -> int:
    """Tell what is wrong with the command line; gives the exit code."""
    message = error.format_message()
    where = error.ctx if isinstance(error, click.UsageError) else None
    hint = "" if where is None else f"{where.command_path} --help"
    if as_json:
        body = {"code": "usage", "message": message, "hint": hint}
        print(json.dumps({"schema": SCHEMA, "error": body}, ensure_ascii=False))
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(message, file=sys.stderr)
    else:
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"hint: {hint}", file=sys.stderr)
    return error.exit_code


def _told_once(problems: Sequence[Problem]) -> list[Problem]:
    """Leave out what says the same of the same place, and of the same thing in many files all but a few."""
    times: dict[tuple[str, str, str], int] = {}
    told: list[Problem] = []
    for problem in dict.fromkeys(problems):
        same = (problem.what, problem.hint, problem.where if IN_A_LINE.search(problem.where) else "")
        times[same] = times.get(same, 0) + 1
        if times[same] <= ALIKE_SHOWN:
            told.append(problem)
    return told


def show_error(error: LowtideError | OSError, *, as_json: bool) -> int:
    """Tell what happened; gives the exit code."""
    problems: tuple[Problem, ...] = ()
    count = 0
    changes: tuple[str, ...] = ()
    if isinstance(error, LowtideError):
        code, message, hint, exit_code = error.code, error.message, error.hint, error.exit_code
        if isinstance(error, InputRefused):
            problems, count = error.problems, error.count
        if isinstance(error, PlanChanged):
            changes = error.changes
    else:
        where = f"{error.filename}: " if error.filename else ""
        code, message, exit_code = "file", f"{where}{error.strerror or error}", 1
        hint = FILE_HINTS.get(error.errno or 0, "")
    if as_json:
        body = {
            "code": code,
            "message": message,
            "hint": hint,
            "problems_count": count,
            "problems": [{"where": each.where, "what": each.what, "hint": each.hint} for each in problems],
            "changes": list(changes),
        }
        print(json.dumps({"schema": SCHEMA, "error": body}, ensure_ascii=False))
        return exit_code
    print(f"error: {harmless(message)}", file=sys.stderr)
    for change in changes:
        print(f"  {harmless(change)}", file=sys.stderr)
    shown = _told_once(problems)[:PROBLEMS_SHOWN]
    for problem in shown:
        print("  " + harmless(str(problem)).replace("\n", "\n  "), file=sys.stderr)
    if count > len(shown):
        listed = "them all" if count == len(problems) else f"the first {len(problems):,}"
        print(f"  and {count - len(shown):,} more: --json lists {listed}", file=sys.stderr)
    if hint:
        print(f"hint: {harmless(hint)}", file=sys.stderr)
    return exit_code
