"""Laws of the inputs: any body passes byte for byte, any row comes out as it went in, any bytes end in values."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from lowtide import inputs
from lowtide.errors import Problem
from lowtide.inputs import RowOptions, RowTemplate, batch_format
from lowtide.request import Endpoint, Native, Neutral, Request, RequestKey

characters = st.characters(codec="utf-8")
names = st.text(characters, min_size=1, max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(characters),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(characters), inner, max_size=3),
    max_leaves=8,
)
spaces = st.sampled_from(["", " ", "\t", "  "])


@given(
    key=names,
    model=names.filter(str.strip),
    tokens=st.integers(min_value=1, max_value=10**9),
    extra=st.dictionaries(
        st.text(characters).filter(
            lambda name: name not in {"model", "max_tokens", "max_completion_tokens", "messages", "stream"}
        ),
        values,
        max_size=4,
    ),
    ascii_only=st.booleans(),
    space=spaces,
)
def test_any_body_passes_byte_for_byte(
    key: str, model: str, tokens: int, extra: dict[str, object], ascii_only: bool, space: str
) -> None:
    """Promise 9."""
    params = json.dumps(
        {**extra, "model": model, "max_tokens": tokens, "messages": []}, ensure_ascii=ascii_only
    ).encode()
    line = f'{space}{{"custom_id":{space}{json.dumps(key)},{space}"params"{space}:{space}'.encode() + params + b"}\r\n"
    assert list(inputs.batch_lines([line], file="f")) == [
        Request(key=RequestKey(key), model=model, body=Native(params=params), kind="line", source="f:1")
    ]
    other = f'{{"method":"POST","custom_id":{json.dumps(key)},{space}"url":"/v1/chat/completions","body"{space}:{space}'
    assert list(inputs.batch_lines([other.encode() + params + b"}"], file="f")) == [
        Request(
            key=RequestKey(key),
            model=model,
            body=Native(params=params, endpoint=Endpoint.CHAT),
            kind="chat-line",
            source="f:1",
            provider="openai",
        )
    ]
    (whole,) = inputs.batch_object(b'{"requests": [' + line + b"]}", file="f")
    assert isinstance(whole, Request)
    assert whole.body == Native(params=params)


@given(content=st.binary(max_size=200))
def test_any_bytes_end_in_requests_or_problems(content: bytes) -> None:
    lines = content.splitlines(keepends=True)
    for item in inputs.batch_lines(lines, file="f"):
        assert isinstance(item, Problem | Request)
    for item in inputs.batch_object(content, file="f"):
        assert isinstance(item, Problem | Request)


@given(content=st.text(st.sampled_from('{}[]",:0123 truefalsn\\ud89\n'), max_size=80))
def test_almost_json_ends_in_problems_that_name_their_line(content: str) -> None:
    lines = content.encode().splitlines(keepends=True)
    for item in inputs.batch_lines(lines, file="f"):
        assert isinstance(item, Problem)
        assert item.where.startswith("f:")


def template() -> RowTemplate:
    read = inputs.row_template("{{ a }}|{{ row['b c'] }}", file="t")
    assert isinstance(read, RowTemplate)
    return read


cells = st.text(characters.filter(lambda character: character not in "\r\x00"), max_size=30)


@given(rows=st.lists(st.tuples(cells, cells), max_size=8), delimiter=st.sampled_from(",;\t"))
def test_any_table_comes_out_as_it_was_written(rows: list[tuple[str, str]], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b c"])
    writer.writerows(rows)
    lines = out.getvalue().encode().split(b"\n")
    items = inputs.csv_requests(
        [line + b"\n" for line in lines[:-1]], file="f", template=template(), options=RowOptions(model="m")
    )
    found = []
    for item in items:
        assert isinstance(item, Request)
        assert isinstance(item.body, Neutral)
        found.append(item.body.text)
    assert found == [f"{a}|{b}" for a, b in rows]


@given(content=st.binary(max_size=200))
def test_any_table_bytes_end_in_requests_or_problems(content: bytes) -> None:
    lines = content.splitlines(keepends=True)
    options = RowOptions(model="m")
    for reader in (inputs.csv_requests, inputs.jsonl_requests):
        for item in reader(lines, file="f", template=template(), options=options):
            assert isinstance(item, Problem | Request)


ODD_VALUES = st.one_of(
    st.sampled_from([None, True, 0, 1, -1, 5.0, 10**30, "", " ", "a", [], [{}], {}, "x" * 512, "x" * 513]), st.text()
)
LINES = st.builds(
    lambda line, odd: json.dumps({**line, **odd}).encode(),
    st.fixed_dictionaries(
        {"custom_id": ODD_VALUES | st.just("a")},
        optional={
            "params": st.fixed_dictionaries(
                {},
                optional={
                    "model": ODD_VALUES | st.just("m"),
                    "max_tokens": ODD_VALUES | st.just(7),
                    "messages": ODD_VALUES | st.just([{"role": "user", "content": "\ud83d é"}]),
                    "stream": ODD_VALUES,
                    "more": ODD_VALUES,
                },
            )
        },
    ),
    st.dictionaries(st.sampled_from(["body", "extra"]), ODD_VALUES, max_size=1),
)


@given(LINES, st.binary(max_size=2))
def test_a_line_read_quickly_is_read_as_with_care(line: bytes, odd: bytes) -> None:
    """The quick look takes nothing that the careful one refuses, and misses none of Anthropic's that it takes."""
    content = line[:-1] + odd + line[-1:]
    quick = batch_format._well_formed(content, where="here")
    assert list(batch_format._batch_item(content, where="here")) == [quick] or quick is None
    if quick is None:
        careful = list(batch_format._batch_item(content, where="here"))
        assert not any(isinstance(item, Request) and item.kind == "line" for item in careful)
