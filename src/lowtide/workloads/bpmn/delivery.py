"""Finished text becomes files: a document with its front matter, and one page a file that lists what there is.

Where a file goes is decided in ``places`` only; nothing here writes.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from lowtide.request import RequestKey
from lowtide.workload import Delivery, Document
from lowtide.workloads.bpmn.frozen import Frame
from lowtide.workloads.bpmn.views import INDENT_MAX

FINISHED: Final = "succeeded"

_MARKUP = re.compile(r"([\\`*_\[\]<>&])")
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write_document(frame: Frame, delivery: Delivery) -> Document:
    """Write one result: front matter in YAML, what it had to do without, and the text as it came."""
    lines = [
        "---",
        f"key: {_yaml(delivery.key)}",
        f"model: {_yaml(delivery.model)}",
        f"input_tokens: {delivery.usage.input_tokens}",
        f"output_tokens: {delivery.usage.output_tokens}",
        f"cost: {_yaml(delivery.cost_dollars)}",
        f"plan: {_yaml(delivery.plan_id)}",
        f"simulated: {'true' if delivery.simulated else 'false'}",
    ]
    if delivery.stop_reason != "end_turn":
        lines.append(f"stop_reason: {_yaml(delivery.stop_reason)}")
    if delivery.gaps:
        lines.append("gaps:")
        lines.extend(f"  - {_yaml(gap)}" for gap in delivery.gaps)
    lines.extend(("---", ""))
    if delivery.gaps:
        lines.append(f"> {frame.words.made_without}")
        lines.extend(f"> - {_plain(gap)}" for gap in delivery.gaps)
        lines.append("")
    text = delivery.text.rstrip("\n")
    return Document(path=frame.place_of(delivery.key), text="\n".join((*lines, text, "")))


def write_indexes(frame: Frame, finished: Mapping[RequestKey, str]) -> Iterator[Document]:
    """Write one page a file: its nodes in their hierarchy, a link for each document, a word for each that is missing."""
    for file in range(len(frame.frozen.models)):
        if any(True for node in _nodes_of(frame, file) for _ in frame.documents_of(node)):
            yield Document(path=frame.index_place(file), text=_page(frame, file, finished))


def _nodes_of(frame: Frame, file: int) -> range:
    start = frame.forest.start_of(file)
    return range(start, start + len(frame.frozen.models[file].nodes))


def _page(frame: Frame, file: int, finished: Mapping[RequestKey, str]) -> str:
    here = frame.index_place(file)
    lines = [f"# {_plain(frame.frozen.models[file].file)}", "", f"## {frame.words.documents}", ""]
    for node in _nodes_of(frame, file):
        shown = [_shown(frame, here, number, finished) for number in frame.documents_of(node)]
        if not shown and not frame.forest.children[node]:
            continue
        indent = "  " * min(len(frame.forest.path_of(node)), INDENT_MAX)
        line = f"{indent}- {_plain(frame.views.kind(node))}: **{_plain(frame.views.title(node))}**"
        target = frame.forest.targets.get(node)
        if target is not None:
            line += f" → {_called(frame, here, target)}"
        lines.append(line + (": " + ", ".join(shown) if shown else ""))
    return "\n".join(lines) + "\n"


def _shown(frame: Frame, here: PurePosixPath, number: int, finished: Mapping[RequestKey, str]) -> str:
    title, key = _plain(frame.title_of(number)), frame.frozen.keys[number]
    outcome = finished.get(key)
    if outcome == FINISHED:
        return f"[{title}]({_link(here, frame.place_of(key))})"
    return f"{title} ({_plain(frame.words.outcome_of(outcome) if outcome else frame.words.not_yet)})"


def _called(frame: Frame, here: PurePosixPath, target: int) -> str:
    title = _plain(frame.views.title(target))
    file = frame.forest.file_of[target]
    if not any(True for node in _nodes_of(frame, file) for _ in frame.documents_of(node)):
        return title
    return f"[{title}]({_link(here, frame.index_place(file))})"


def _link(here: PurePosixPath, there: PurePosixPath) -> str:
    return quote(posixpath.relpath(str(there), str(here.parent)))


def _plain(text: str) -> str:
    """Write a name so that Markdown leaves it as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _yaml(text: str) -> str:
    """Quote a text for YAML: JSON's quoting, with the line ends that YAML knows and JSON does not."""
    return json.dumps(text, ensure_ascii=False).translate(_LINE_ENDS)
