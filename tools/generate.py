"""Writes the pages and diagrams that are made from tables in the code, so that they can never say something else.

Reference pages are written whole; in ARCHITECTURE.md the parts between ``<!-- made: NAME -->`` and ``<!-- end -->`` are.

    python tools/generate.py            rewrites them
    python tools/generate.py --check    says whether it would change anything
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from lowtide import attempt, batch, dispatch, errors, ledger, points, result, settings
from lowtide.cli import EXIT_CODES

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "lowtide"
REFERENCE = ROOT / "docs" / "reference"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
NOTE = "<!-- Made by tools/generate.py from the code: change it there. -->\n\n"
MADE = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)
END = "[*]"  # where a table leads to no state any more
PLAIN = {  # words whose members carry no comment, because they say it themselves
    "validating": "at the provider, being looked at",
    "queued": "at the provider, waiting",
    "running": "at the provider, being worked on",
    "finalizing": "at the provider, its results being put together",
    "canceling": "asked to stop; what is being worked on may still finish, and is paid",
    "ours": "made by our own create call",
    "active": "a worker goes on with it",
    "done": "nothing is left to do; some requests may have failed",
    "failed": "given up as a whole",
    "canceled": "stopped by its user; what was bought is kept",
    "batch": "the ceilings of a batch's requests, and what its answers cost",
}


def rows(head: list[str], lines: list[list[str]]) -> str:
    """Write a Markdown table."""
    escaped = [[cell.replace("``", "`").replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *escaped]) + "\n"


def comments(path: Path, name: str) -> dict[str, str]:
    """Read the comments behind the members of an enumeration, by their value."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = path.read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}
    for node in tree.body:
        if not (isinstance(node, ast.ClassDef) and node.name == name):
            continue
        for member in node.body:
            if isinstance(member, ast.Assign) and isinstance(member.value, ast.Constant):
                _, _, comment = lines[member.lineno - 1].partition("  # ")
                found[str(member.value.value)] = comment
    return found


# states


def in_order(table: Mapping[tuple[State, Event], State | None]) -> list[tuple[tuple[State, Event], State | None]]:
    """Sort a table by the order in which states and events are written; tables are partly made from sets."""
    states = list(type(next(iter(table))[0]))
    events = list(type(next(iter(table))[1]))
    return sorted(table.items(), key=lambda row: (events.index(row[0][1]), states.index(row[0][0])))


def groups(table: Mapping[tuple[State, Event], State | None], states: list[State]) -> dict[State, str]:
    """Put states together from which the same events lead to the same states; gives each state's group by name."""
    ways: dict[tuple[tuple[str, str], ...], list[State]] = defaultdict(list)
    for state in states:
        out = tuple(
            sorted(
                (event.value, END if end is None else end.value)
                for (start, event), end in table.items()
                if start is state
            )
        )
        ways[out].append(state)
    named: dict[State, str] = {}
    for out, members in ways.items():
        for state in members:
            named[state] = "_".join(member.value for member in members) if out else state.value
    return named


def diagram(table: Mapping[tuple[State, Event], State | None], states: list[State]) -> str:
    """Draw a table of transitions. States with the same ways out are one box; events between two boxes one arrow."""
    box = groups(table, states)
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (start, event), end in in_order(table):
        label = event.value.replace("_", " ")
        into = END if end is None else box[end]
        if label not in arrows[box[start], into]:
            arrows[box[start], into].append(label)
    titles = {name: ", ".join(state.value for state in states if box[state] == name) for name in box.values()}
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {box[states[0]]}"]
    lines += [f'    state "{title}" as {name}' for name, title in titles.items() if title != name]
    lines += [f"    {start} --> {end}: {_short(labels)}" for (start, end), labels in arrows.items()]
    lines += [f"    {name} --> [*]" for name in titles if not any(start == name for start, _ in arrows)]
    return "\n".join([*lines, "```"]) + "\n"


def _short(labels: list[str]) -> str:
    """Write several events as one label: ``found queued, running``."""
    found = [label.removeprefix("found ") for label in labels if label.startswith("found ")]
    rest = [label for label in labels if not label.startswith("found ")]
    return ", ".join(([f"found {', '.join(found)}"] if found else []) + rest)


def transitions(table: Mapping[tuple[State, Event], State | None]) -> str:
    """List every row of a table of transitions."""
    ends: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (start, event), end in in_order(table):
        ends[event.value, "over" if end is None else f"`{end.value}`"].append(start.value)
    lines = [[", ".join(f"`{start}`" for start in starts), f"`{event}`", end] for (event, end), starts in ends.items()]
    return rows(["in state", "meets", "becomes"], lines)


def meanings(path: Path, kind: type[StrEnum]) -> str:
    """List an enumeration with what its comments say."""
    said = comments(path, kind.__name__)
    return rows(
        ["word", "means"], [[f"`{member.value}`", said[member.value] or PLAIN[member.value]] for member in kind]
    )


def states_page() -> str:
    """Every state: of batches, attempts, runs, and the reasons of the books."""
    return (
        NOTE
        + "# States\n\nEach life is a table of (state, event) -> state; an event that has no row is a mistake of ours and"
        " stops the worker.\n\n## Batches\n\nA batch row is made before its batch exists and lives through every doubt about"
        " whether it arrived. That it *ended* at the provider and that its results *landed* here are two facts.\n\n"
        + meanings(SOURCE / "batch.py", batch.BatchState)
        + "\n"
        + diagram(batch.TRANSITIONS, list(batch.BatchState))
        + "\n"
        + transitions(batch.TRANSITIONS)
        + "\nWhy a batch row is there:\n\n"
        + meanings(SOURCE / "dispatch.py", dispatch.Role)
        + "\n## Shards\n\nA shard becomes a batch, which tells the rest, or a block of calls.\n\n"
        + meanings(SOURCE / "attempt.py", attempt.AttemptState)
        + "\n## Calls\n\nA call in real time or into a background window is kept only while its outcome is not known.\n\n"
        + meanings(SOURCE / "attempt.py", attempt.CallState)
        + "\n"
        + diagram(attempt.TRANSITIONS, list(attempt.CallState))
        + "\n"
        + transitions(attempt.TRANSITIONS)
        + "\n## Runs\n\n"
        + meanings(SOURCE / "dispatch.py", dispatch.RunState)
        + "\n## Reasons in the books\n\nEvery transfer says what it was for. Money that bought nothing has a name of its own.\n\n"
        + meanings(SOURCE / "ledger.py", ledger.Reason)
    )


# settings, errors


def settings_page() -> str:
    """Every setting, its variable, its default and its help."""
    lines = [
        [f"`{one.name}`", f"`LOWTIDE_{one.name.upper()}`", f"`{one.default}`" if one.default != "" else "", one.help]
        for one in settings.SETTINGS
    ]
    return (
        NOTE + "# Settings\n\nLater wins: the defaults here, `lowtide.toml` in the user's configuration folder"
        " (`~/.config/lowtide/lowtide.toml`), `lowtide.toml` in the present folder, environment variables, flags."
        " `lowtide config show --origin` says what is in force and where it is from. An unknown name in a file is an"
        " error.\n\n" + rows(["setting", "variable", "default", "what it is"], lines) + "\n"
        "A key is never a setting, only a reference to one is: `env:NAME`, `file:PATH` (readable by its owner alone) or"
        " `keyring:SERVICE/USER`.\n\nOne more variable is read: `LOWTIDE_ONLY_LOOPBACK=1` refuses every host but this"
        " machine; tests set it.\n"
    )


def tree(kind: type[errors.LowtideError]) -> Iterator[type[errors.LowtideError]]:
    """Walk the tree of exceptions, parents first, in the order they are written."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from tree(child)


def errors_page() -> str:
    """Every error with its code, its exit code and its remedy; every refusal of a provider and what it means."""
    lines = []
    for kind in tree(errors.LowtideError):
        what, _, remedy = " ".join((kind.__doc__ or "").split()).partition("Remedy: ")
        assert remedy, f"{kind.__name__} names no remedy"
        lines.append([f"`{kind.code}`", str(kind.exit_code), what.strip(), remedy])
    refusals = [
        [f"`{code}`", f"{meaning.retry.value.replace('_', ' ')}", meaning.billed.value]
        for code, meaning in result.REFUSALS.items()
    ]
    unknown = result.UNKNOWN_REFUSAL
    return (
        NOTE
        + "# Errors\n\nWhat is wrong in an input is listed, all of it, before anything is sent. What stops a command has a"
        " code (with `--json` also on standard output), a message, and a hint.\n\n"
        + rows(["code", "exit", "what happened", "remedy"], lines)
        + "\n## Exit codes\n\n"
        + rows(["code", "means"], [[str(code), text] for code, text in EXIT_CODES])
        + "\n## What a provider says about one request\n\nKept with the request (`lowtide results --failed`), with the"
        " provider's own words. May it be sent again, and did it cost money?\n\n"
        + rows(["code", "again", "cost money"], refusals)
        + f"\nA code that is not in the table is sent again ({unknown.retry.value}), up to `tries_max` tries.\n"
    )


# the house


def thesis(path: Path) -> str:
    """Read the first sentence of a module or package."""
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def house() -> str:
    """List the rooms from the top down, as import-linter holds them, each with its own first sentence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    below = next(contract["source_modules"] for contract in contracts if "Below the line" in contract["name"])
    lines: list[list[str]] = []
    line_drawn = False
    for layer in layers:
        for room in re.split(r"\s*[|:]\s*", layer):
            if f"lowtide.{room}" in below and not line_drawn:
                lines.append(["*the line*", "*below it nothing opens, waits, draws lots or looks at a clock*"])
                line_drawn = True
            folder = "/" if (SOURCE / room).is_dir() else ".py"
            lines.append([f"`{room}{folder}`", thesis(SOURCE / room)])
    return rows(["room", "what lives there"], lines)


def point_rows() -> str:
    """List the named points where tests stop the process."""
    return rows(["point", "when"], [[f"`{name}`", text] for name, text in points.POINTS.items()])


PARTS: dict[str, Callable[[], str]] = {
    "house": house,
    "batch-states": lambda: diagram(batch.TRANSITIONS, list(batch.BatchState)),
    "attempt-states": lambda: diagram(attempt.TRANSITIONS, list(attempt.CallState)),
    "points": point_rows,
}


def wanted() -> Iterator[tuple[Path, str]]:
    """Give every made file and what it should say."""
    yield REFERENCE / "settings.md", settings_page()
    yield REFERENCE / "errors.md", errors_page()
    yield REFERENCE / "states.md", states_page()
    text = ARCHITECTURE.read_text(encoding="utf-8")
    names = [match[2] for match in MADE.finditer(text)]
    assert sorted(names) == sorted(PARTS), f"ARCHITECTURE.md has {names}, made are {list(PARTS)}"
    yield ARCHITECTURE, MADE.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}{match[3]}", text)


def main() -> int:
    """Write, or with ``--check`` only compare. Gives the exit code."""
    checking = "--check" in sys.argv[1:]
    stale = 0
    for path, text in wanted():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if checking:
            print(f"{path.relative_to(ROOT)} is not what the code says: make generate", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")
    return 1 if checking and stale else 0


if __name__ == "__main__":
    sys.exit(main())
