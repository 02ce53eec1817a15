"""Batch files and tables: what becomes a request, and that every problem is named with its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lowtide import inputs
from lowtide.errors import Problem
from lowtide.inputs import RowOptions, RowTemplate
from lowtide.inputs.tables import REPEATS_MAX, ROW_OUTPUT_TOKENS
from lowtide.request import Endpoint, Native, Neutral, Request, RequestKey

GOOD = b'{"custom_id":"a","params":{"model":"m","max_tokens":5,"messages":[]}}'


def read_lines(*lines: bytes) -> list[Request | Problem]:
    return list(inputs.batch_lines(lines, file="f.jsonl"))


def problems_of(*lines: bytes) -> list[str]:
    return [f"{item.where}: {item.what}" for item in read_lines(*lines) if isinstance(item, Problem)]


def line_with(params: str) -> bytes:
    return b'{"custom_id":"a","params":' + params.encode() + b"}"


def test_a_batch_line_becomes_a_request_with_its_place() -> None:
    assert read_lines(b"\n", GOOD) == [
        Request(
            key=RequestKey("a"),
            model="m",
            body=Native(params=b'{"model":"m","max_tokens":5,"messages":[]}'),
            kind="line",
            source="f.jsonl:2",
        )
    ]


OPENAI = b'{"custom_id":"%s","method":"POST","url":"%s","body":%s}'


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (b"/v1/chat/completions", Endpoint.CHAT),
        (b"/chat/completions", Endpoint.CHAT),
        (b"/openai/v1/chat/completions", Endpoint.CHAT),
        (b"/v1/responses", Endpoint.RESPONSES),
    ],
)
def test_an_openai_line_becomes_a_request_of_its_endpoint(url: bytes, endpoint: Endpoint) -> None:
    """Promise 9 again: the body as it stood, spaces and all; a limit may be missing."""
    params = b'{ "messages" : [],"model":"m" , "max_tokens":null}'
    (request,) = read_lines(OPENAI % (b"a|1", url, params))
    assert request == Request(
        key=RequestKey("a|1"),
        model="m",
        body=Native(params=params, endpoint=endpoint),
        kind=f"{endpoint}-line",
        source="f.jsonl:1",
        provider="openai",
    )


def test_lines_of_both_formats_may_stand_in_one_file() -> None:
    other = OPENAI % (b"b", b"/v1/responses", b'{"model":"m","input":"hi"}')
    items = read_lines(GOOD, other, GOOD)
    assert [item.provider for item in items if isinstance(item, Request)] == ["", "openai", ""]
    assert [item.body.endpoint for item in items if isinstance(item, Request) and isinstance(item.body, Native)] == [
        Endpoint.MESSAGES,
        Endpoint.RESPONSES,
        Endpoint.MESSAGES,
    ]


@pytest.mark.parametrize(("name", "count"), [("openai-batch-chat.jsonl", 3), ("openai-batch-responses.jsonl", 2)])
def test_files_that_other_programs_sent_are_read(name: str, count: int) -> None:
    content = (Path(__file__).parents[1] / "contract" / "samples" / name).read_bytes()
    items = read_lines(*content.splitlines(keepends=True))
    assert [item.key for item in items if isinstance(item, Request)] == [str(number) for number in range(count)]
    for line, item in zip(content.splitlines(), items, strict=True):
        assert isinstance(item, Request)
        assert isinstance(item.body, Native)
        assert item.body.params in line


@pytest.mark.parametrize(
    "params",
    [
        b'{ "messages" : [ ] ,"max_tokens":5,\t"model":"m"}',
        '{"model":"m","max_tokens":5,"messages":[{"content":"å\\u00e5 \\/ 订"}],"x":1.50e+2}'.encode(),
        b'{"model":"m","max_tokens":5,"messages":[],"model":"m2"}',
    ],
)
def test_the_body_is_kept_byte_for_byte(params: bytes) -> None:
    """Promise 9: neither spaces, escapes, number forms nor field order change."""
    (request,) = read_lines(b'{"params":' + params + b' , "custom_id":"a"}\r\n')
    assert isinstance(request, Request)
    assert request.body == Native(params=params)


def test_a_byte_order_mark_crlf_and_blank_lines_are_allowed() -> None:
    items = read_lines(b"\xef\xbb\xbf" + GOOD + b"\r\n", b"\r\n", b"  \n", GOOD)
    assert [item.source for item in items if isinstance(item, Request)] == ["f.jsonl:1", "f.jsonl:4"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{bad", ["f.jsonl:1: not JSON: object keys must be strings at column 2"]),
        (
            b'{"custom_id": "a", "params": {"model": "m" "x"}}',
            ["f.jsonl:1: not JSON: expected ',' or '}' at column 44"],
        ),
        ('{"custom_id": "åäö", "params": !}'.encode(), ["f.jsonl:1: not JSON: invalid character at column 32"]),
        (b'{"custom_id":"a","params":{"model":"m"', ["f.jsonl:1: not JSON: it ends too early"]),
        (rb'{"custom_id":"a\ud83d"}', [r"f.jsonl:1: not JSON: \ud83d is half of a character"]),
        (rb'{"custom_id":"a\udc00"}', [r"f.jsonl:1: not JSON: \udc00 is half of a character"]),
        (rb'{"custom_id":"\ud83d\ude00"', ["f.jsonl:1: not JSON: it ends too early"]),
        (
            b'{"custom_id":{},"params":true}',
            [
                "f.jsonl:1: custom_id: must be a string, not an object",
                "f.jsonl:1: params: must be an object, not true or false",
            ],
        ),
        (b"[1]", ["f.jsonl:1: the line is not a JSON object"]),
        (b"\xff", ["f.jsonl:1: not UTF-8 (0xff at byte 1)"]),
        (b'{"params":{"model":"m","max_tokens":1,"messages":[]}}', ["f.jsonl:1: custom_id is missing"]),
        (b'{"custom_id":"a"}', ["f.jsonl:1: params is missing"]),
        (
            b'{"custom_id":7,"params":{"model":"m","max_tokens":1,"messages":[]}}',
            ["f.jsonl:1: custom_id: must be a string, not a number"],
        ),
        (
            b'{"custom_id":"","params":{"model":"m","max_tokens":1,"messages":[]}}',
            ["f.jsonl:1: custom_id: is empty"],
        ),
        (
            b'{"custom_id":"' + b"x" * 513 + b'","params":{"model":"m","max_tokens":1,"messages":[]}}',
            ["f.jsonl:1: custom_id: has 513 characters; 512 are the most"],
        ),
        (line_with('["x"]'), ["f.jsonl:1: params: must be an object, not a list"]),
        (line_with('{"max_tokens":1,"messages":[]}'), ["f.jsonl:1: params: model is missing"]),
        (line_with('{"model":" ","max_tokens":1,"messages":[]}'), ["f.jsonl:1: params.model: is empty"]),
        (
            line_with('{"model":null,"max_tokens":1,"messages":[]}'),
            ["f.jsonl:1: params.model: must be a string, not null"],
        ),
        (line_with('{"model":"m","messages":[]}'), ["f.jsonl:1: params: max_tokens is missing"]),
        (line_with('{"model":"m","max_tokens":1}'), ["f.jsonl:1: params: messages is missing"]),
        (
            line_with('{"model":"m","max_tokens":1,"messages":"hi"}'),
            ["f.jsonl:1: params.messages: must be a list, not a string"],
        ),
        (
            line_with('{"model":"m","max_tokens":1,"messages":[],"stream":true}'),
            ["f.jsonl:1: params.stream: stream: true cannot be batched"],
        ),
        (
            b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}',
            ["f.jsonl:1: body: model is missing", "f.jsonl:1: body: messages is missing"],
        ),
        (
            b'{"custom_id":"a","method":"GET","url":"/v1/embeddings","body":{"model":"m"}}',
            [
                'f.jsonl:1: method: must be "POST", not "GET"',
                "f.jsonl:1: url: '/v1/embeddings' is no endpoint that lowtide buys from",
            ],
        ),
        (
            b'{"custom_id":"a","body":{"model":7,"stream":true,"max_tokens":0}}',
            [
                "f.jsonl:1: method is missing",
                "f.jsonl:1: url is missing",
                "f.jsonl:1: body.model: must be a string, not a number",
                "f.jsonl:1: body.max_tokens: must be a positive whole number, not 0",
                "f.jsonl:1: body.stream: stream: true cannot be batched",
            ],
        ),
        (
            b'{"method":"POST","url":7,"x":1}',
            [
                "f.jsonl:1: unknown field beside custom_id, method, url and body: x",
                "f.jsonl:1: custom_id is missing",
                "f.jsonl:1: url: must be a string, not a number",
                "f.jsonl:1: body is missing",
            ],
        ),
        (
            b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":[]}',
            ["f.jsonl:1: body: must be an object, not a list"],
        ),
        (
            b'{"custom_id":"a","params":{"model":"m","max_tokens":1,"messages":[]},"tag":1}',
            ["f.jsonl:1: unknown field beside custom_id and params: tag"],
        ),
    ],
)
def test_each_problem_of_a_batch_line_is_named(line: bytes, expected: list[str]) -> None:
    assert problems_of(line) == expected


@pytest.mark.parametrize("tokens", ["0", "-1", "1.5", "1e999", "true", '"9"', "null", "[]"])
def test_a_limit_that_is_no_positive_whole_number_is_refused(tokens: str) -> None:
    line = line_with(f'{{"model":"m","max_tokens":{tokens},"messages":[]}}')
    assert problems_of(line) == [f"f.jsonl:1: params.max_tokens: must be a positive whole number, not {tokens}"]


def test_all_problems_of_a_line_and_of_all_lines_are_reported() -> None:
    found = problems_of(b'{"custom_id":3,"params":{"stream":true,"max_tokens":0}}', b"{", GOOD, b"[]")
    assert len(found) == 7
    assert [text.split(":")[1] for text in found] == ["1"] * 5 + ["2", "4"]


def test_stream_false_passes() -> None:
    assert problems_of(line_with('{"model":"m","max_tokens":1,"messages":[],"stream":false}')) == []


def test_utf16_is_named_once_and_not_as_a_thousand_broken_lines() -> None:
    found = problems_of(*GOOD.decode().encode("utf-16").splitlines(keepends=True), b"\x00", b"\x00")
    assert found == ["f.jsonl:1: the file is UTF-16, not UTF-8"]


def test_json_nested_without_end_is_a_problem_not_a_crash() -> None:
    (found,) = problems_of(line_with("[" * 200_000))
    assert found.startswith("f.jsonl:1: ")


def test_the_create_calls_body_is_read_with_the_same_rules() -> None:
    content = b'\xef\xbb\xbf{"requests": [\n' + GOOD + b',\n{"custom_id":"b","params":{}}]}'
    items = list(inputs.batch_object(content, file="o.json"))
    assert isinstance(items[0], Request)
    assert (items[0].source, items[0].key) == ("o.json: requests[0]", "a")
    assert [str(item) for item in items[1:]] == [
        "o.json: requests[1]: params: model is missing",
        "o.json: requests[1]: params: max_tokens is missing",
        "o.json: requests[1]: params: messages is missing",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"requests": []}', "o: `requests` is empty"),
        (b'{"requests": [\n{"custom_id":"a",]}', "o: not JSON: expected '\"' at line 2, column 18"),
        (b'{"requests": [', "o: not JSON: it ends too early"),
        (b'{"requests": 3}', "o: not a batch file"),
        (b'{"requests": [\n\n"\xff"]}', "o: not UTF-8 (0xff at line 3)"),
    ],
)
def test_a_broken_create_body_is_one_problem(content: bytes, expected: str) -> None:
    (item,) = inputs.batch_object(content, file="o")
    assert str(item).startswith(expected)


def test_limits_have_names_and_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowtide.inputs.batch_format.LINE_BYTES_MAX", 60)
    monkeypatch.setattr("lowtide.inputs.batch_format.OBJECT_BYTES_MAX", 60)
    assert problems_of(GOOD) == ["f.jsonl:1: the line is longer than 60 bytes; no provider takes it"]
    (item,) = inputs.batch_object(b'{"requests": [' + GOOD + b"]}", file="o")
    assert str(item).startswith("o: the file has 85 bytes; one JSON object may have 60")


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (GOOD, "lines"),
        (b'\xef\xbb\xbf\n{ "params": {', "lines"),
        (b'{broken\n{"custom_id": "a"', "lines"),
        (b'{"method": "POST", "custom_id"', "lines"),
        (b' {\n "requests" : [', "object"),
        (b'{"name": "x"}', None),
        (b"name,custom_id", None),
        (b"", None),
    ],
)
def test_a_batch_file_is_recognised_by_its_beginning(head: bytes, form: str | None) -> None:
    assert inputs.batch_form(head) == form


# --- Tables -----------------------------------------------------------------------------------------------------------


def template(text: str) -> RowTemplate:
    read = inputs.row_template(text, file="t.j2")
    assert isinstance(read, RowTemplate)
    return read


def csv_items(content: str | bytes, text: str = "{{ a }}", **options: Any) -> list[Request | Problem]:
    lines = (content.encode() if isinstance(content, str) else content).splitlines(keepends=True)
    rows = RowOptions(**{"model": "m", **options})
    return list(inputs.csv_requests(lines, file="t.csv", template=template(text), options=rows))


def jsonl_items(content: str, text: str = "{{ a }}", **options: Any) -> list[Request | Problem]:
    lines = content.encode().splitlines(keepends=True)
    rows = RowOptions(**{"model": "m", **options})
    return list(inputs.jsonl_requests(lines, file="t.jsonl", template=template(text), options=rows))


def texts(items: list[Request | Problem]) -> list[str]:
    bodies = [item.body for item in items if isinstance(item, Request)]
    return [body.text for body in bodies if isinstance(body, Neutral)]


def complaints(items: list[Request | Problem]) -> list[str]:
    return [f"{item.where}: {item.what}" for item in items if isinstance(item, Problem)]


def keys(items: list[Request | Problem]) -> list[str]:
    return [item.key for item in items if isinstance(item, Request)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_in_the_header_line(delimiter: str) -> None:
    header, row = delimiter.join(["a", '"b, ; x"', "c"]), delimiter.join(["1", "2", "3"])
    assert texts(csv_items(f"{header}\n{row}\n", "{{ a }}{{ row['b, ; x'] }}{{ c }}")) == ["123"]


def test_quoted_cells_may_hold_line_breaks_and_sources_keep_counting() -> None:
    items = csv_items('a,b\n"one\n\ntwo",1\nthree,2\n')
    assert texts(items) == ["one\n\ntwo", "three"]
    assert [item.source for item in items if isinstance(item, Request)] == ["t.csv:2", "t.csv:5"]


def test_a_byte_order_mark_before_a_csv_is_no_part_of_the_first_column() -> None:
    assert texts(csv_items("\ufeffa,b\n1,2\n")) == ["1"]


def test_one_bad_row_does_not_stop_the_others() -> None:
    items = csv_items(b'a,b\n1\n\xff,2\nok,2\n"x"y,3\n\nfine,4\n"open,5\n')
    assert texts(items) == ["ok", "fine"]
    assert complaints(items) == [
        "t.csv:2: 1 cell, but the header names 2 columns",
        "t.csv:3: not UTF-8 (0xff at byte 1)",
        "t.csv:5: not CSV: ',' expected after '\"'",
        "t.csv:8: a quoted cell that begins on line 8 is never closed",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "t.csv:1: there is no header line"),
        ("\n", "t.csv:1: there is no header line"),
        ("a,a\n1,2\n", "t.csv:1: two columns have the same name: a"),
        (",,\n1,2,3\n", "t.csv:1: the header line names no column"),
        ('"a"b,c\n1,2\n', "t.csv:1: the header line is not CSV: ',' expected after '\"'"),
    ],
)
def test_a_table_without_a_usable_header_is_one_problem(content: str, expected: str) -> None:
    assert complaints(csv_items(content)) == [expected]


def test_a_missing_column_is_named_with_the_columns_there_are() -> None:
    (item,) = csv_items("a,b\n1,2\n", "{{ naam }}")
    assert isinstance(item, Problem)
    assert item.what == "the template t.j2 names the column 'naam', which is not there"
    assert item.hint == "the columns are a, b"
    (item,) = csv_items("a,b\n1,2\n", "{{ row.zip }}")
    assert "'zip'" in str(item)


def test_the_same_complaint_of_a_thousand_rows_is_written_twenty_times_and_then_counted() -> None:
    items = csv_items("a\n" + "1\n" * 1000, "{{ x }}")
    assert len(items) == REPEATS_MAX + 1
    assert complaints(items)[-1].endswith("(the same in 980 more rows)")


def test_an_empty_text_and_a_failing_template_are_problems() -> None:
    assert complaints(csv_items("a,b\n,1\n")) == ["t.csv:2: the template t.j2 gives an empty text"]
    assert complaints(csv_items("a\nx\n", "{{ a / 2 }}"))[0].startswith("t.csv:2: the template t.j2 fails: ")


def test_templates_run_in_a_sandbox() -> None:
    (item,) = csv_items("a\nx\n", "{{ a.__class__.__mro__ }}")
    assert isinstance(item, Problem)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a,key\n1,k1\n2,k2\n", {}, ["k1", "k2"]),
        ("a,id\n1,i1\n", {}, ["i1"]),
        ("a,b\n1,x\n2,y\n", {}, ["row-0000001", "row-0000002"]),
        ("a,b\n1,x\n", {"key_column": "b"}, ["x"]),
    ],
)
def test_keys_come_from_the_chosen_column_or_a_number(
    content: str, options: dict[str, Any], expected: list[str]
) -> None:
    assert keys(csv_items(content, **options)) == expected


def test_a_key_must_be_there_short_and_printable() -> None:
    rows = f'a,key\n1,\n2,{"k" * 513}\n3,"x\ny"\n4,good\n'
    items = csv_items(rows)
    assert keys(items) == ["good"]
    assert complaints(items) == [
        "t.csv:2: key: the key is empty",
        "t.csv:3: key: the key has 513 characters; 512 are the most",
        "t.csv:4: key: the key holds a line break or a control character",
    ]
    assert complaints(csv_items("a,b\n1,2\n", key_column="z")) == [
        "t.csv:1: no column is called 'z'; the columns are a, b"
    ]


def test_json_rows_keep_their_numbers_and_may_differ() -> None:
    items = jsonl_items('{"a": 19.90, "id": 7}\n\n{"b": 1}\n3\n{"a": "x", "id": [1]}\n{"a": 1, "id": null}\n')
    assert texts(items) == ["19.90", "1"]
    assert keys(items) == ["7", "row-0000004"]
    assert complaints(items) == [
        "t.jsonl:3: the template t.j2 names the column 'a', which is not there",
        "t.jsonl:4: the line is not a JSON object",
        "t.jsonl:5: id: a key must be a text or a number",
    ]


def test_json_rows_without_the_wanted_key_column_are_problems() -> None:
    assert complaints(jsonl_items('{"a": 1}\n{"a": 2,\n', key_column="k")) == [
        "t.jsonl:1: this row has no 'k', the column of its key",
        "t.jsonl:2: not JSON: it ends too early",
    ]
    assert complaints(jsonl_items("[" * 100_000)) == ["t.jsonl:1: the line is not a JSON object"]
    assert complaints(jsonl_items('{"a":' + "[" * 100_000)) == ["t.jsonl:1: the JSON is nested too deeply"]


def test_a_json_row_that_is_not_utf8_is_a_problem_of_its_own() -> None:
    rows = RowOptions(model="m")
    lines = [b'{"a": "\xff"}\n', b'\xef\xbb\xbf{"a": 1}\n', b'{"a": 2}\n']
    items = list(inputs.jsonl_requests(lines, file="t.jsonl", template=template("{{ a }}"), options=rows))
    assert complaints(items)[0] == "t.jsonl:1: not UTF-8 (0xff at byte 8)"
    assert texts(items) == ["2"]


@pytest.mark.parametrize(
    "front",
    [
        'system = "Be brief"\nmodel = "m1"\nmax_output_tokens = 77\n',
        "system: Be brief\n# a remark\n\nmodel: m1\nmax_output_tokens: 77\n",
    ],
)
def test_the_front_part_sets_system_model_and_limit(front: str) -> None:
    items = csv_items("a\nx\n", f"---\n{front}---\n{{{{ a }}}}", model="")
    (request,) = items
    assert isinstance(request, Request)
    assert request.model == "m1"
    assert request.body == Neutral(system="Be brief", text="x", max_output_tokens=77)


def test_what_the_user_says_goes_before_the_front_part() -> None:
    (request,) = csv_items("a\nx\n", "---\nmodel: m1\nmax_output_tokens: 77\n---\n{{ a }}", max_output_tokens=5)
    assert isinstance(request, Request)
    assert (request.model, request.body) == ("m", Neutral(text="x", max_output_tokens=5))


def test_without_a_limit_the_stated_default_holds() -> None:
    (request,) = csv_items("a\nx\n")
    assert isinstance(request, Request)
    assert isinstance(request.body, Neutral)
    assert request.body.max_output_tokens == ROW_OUTPUT_TOKENS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["t.j2: the template is empty"]),
        ("---\nsystem: x\n", ["t.j2:1: the front part that begins with --- has no second ---"]),
        ("---\ncolour: red\n---\nx", ["t.j2: colour: unknown setting"]),
        (
            "---\nmax_output_tokens: many\n---\nx",
            ["t.j2: max_output_tokens: must be a positive whole number, not 'many'"],
        ),
        ("---\nmodel = 3\n---\nx", ["t.j2: model: must be a text, not 3"]),
        (
            "---\nmodel: m\n---\nline\n{% if %}",
            ["t.j2:5: template: Expected an expression, got 'end of statement block'"],
        ),
        ("---\nnothing here\n---\nx", ["t.j2:1: the front part is neither TOML"]),
    ],
)
def test_each_problem_of_a_row_template_is_named(text: str, expected: list[str]) -> None:
    read = inputs.row_template(text, file="t.j2")
    assert isinstance(read, list)
    found = [f"{problem.where}: {problem.what}" for problem in read]
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found


def test_a_table_without_a_model_is_one_problem() -> None:
    assert complaints(csv_items("a\nx\ny\n", model="")) == ["t.csv: no model is named for the rows"]
    assert complaints(jsonl_items('{"a":1}\n', model="")) == ["t.jsonl: no model is named for the rows"]


def test_a_cell_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowtide.inputs.tables.CELL_CHARS_MAX", 50)
    items = csv_items("a\n" + '"' + "x\n" * 100 + '"\nlast\n')
    assert "is a quote left open?" in complaints(items)[0]


def test_lines_are_pulled_one_at_a_time() -> None:
    """Streams, not lists: nothing is read ahead of what is asked for."""
    pulled = 0

    def lines() -> Iterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield GOOD

    stream = inputs.batch_lines(lines(), file="f")
    for _ in range(3):
        next(stream)
    assert pulled == 3
