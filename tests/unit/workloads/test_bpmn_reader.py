"""One BPMN file becomes a model, or one clear problem."""

import pytest

from lowtide.errors import Problem
from lowtide.workloads.bpmn import parsing, reader, text
from lowtide.workloads.bpmn.model import NOWHERE, Flow, Message, Model, Node, NodeKind, Pool

NAMESPACE = 'xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"'


def definitions(inside: str, attributes: str = "") -> str:
    return f"<definitions {NAMESPACE} {attributes}>{inside}</definitions>"


def process(inside: str) -> str:
    return definitions(f'<process id="p">{inside}</process>')


def read(content: str | bytes) -> Model:
    model = reader.read_model(content.encode() if isinstance(content, str) else content, file="f.bpmn")
    assert isinstance(model, Model), model
    return model


def problem(content: str | bytes) -> Problem:
    found = reader.read_model(content.encode() if isinstance(content, str) else content, file="f.bpmn")
    assert isinstance(found, Problem), found
    return found


def node(model: Model, identity: str) -> Node:
    return next(node for node in model.nodes if node.id == identity)


# --- Encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "Ärende – 订单 🚀"),
        ("utf-8-sig", "Ärende 订单"),
        ("utf-16", "Ärende 订单"),
        ("iso-8859-1", "Ärende räksmörgås"),
        ("windows-1252", "Prüfung – “ok” €"),
        ("iso-8859-2", "Żądanie"),
        ("windows-1251", "Проверка"),
        ("koi8-r", "Заказ"),
        ("iso-8859-7", "Έλεγχος"),
        ("cp874", "ตรวจสอบ"),
        ("shift_jis", "受注確認〜出荷"),
        ("windows-31j", "①受注～髙橋"),
        ("euc-jp", "受注確認"),
        ("iso-2022-jp", "受注確認"),
        ("gb2312", "订单处理"),
        ("gbk", "訂單處理"),
        ("gb18030", "订单处理𠀀"),
        ("euc-kr", "주문 처리"),
        ("big5", "訂單處理"),
    ],
)
def test_names_survive_their_declared_encoding(encoding: str, name: str) -> None:
    declared = {"utf-8-sig": "UTF-8"}.get(encoding, encoding)
    text = f'<?xml version="1.0" encoding="{declared}"?>\n{process(f"""<task id="t" name="{name}"/>""")}'
    assert node(read(text.encode("cp932" if encoding == "windows-31j" else encoding)), "t").name == name


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_seen_by_their_first_bytes(encoding: str) -> None:
    mark = "\ufeff" if encoding != "utf-32" else ""
    assert node(read((mark + process('<task id="t" name="订单"/>')).encode(encoding)), "t").name == "订单"


def test_a_shift_jis_file_with_windows_own_characters_is_read() -> None:
    text = f'<?xml version="1.0" encoding="Shift_JIS"?>{process("""<task id="t" name="①髙"/>""")}'
    assert node(read(text.encode("cp932")), "t").name == "①髙"


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (
            b'<?xml version="1.0" encoding="klingon"?><a/>',
            "f.bpmn:1",
            "declares the encoding 'klingon', which is not known",
        ),
        (
            b'<?xml version="1.0" encoding="rot13"?><a/>',
            "f.bpmn:1",
            "declares the encoding 'rot13', which is not for files",
        ),
        (
            b'<?xml version="1.0" encoding="utf-7"?><a/>',
            "f.bpmn:1",
            "declares the encoding 'utf-7', which is not for files",
        ),
        (
            b'<?xml version="1.0" encoding="Shift_JIS"?>\n<a>\x81 </a>',
            "f.bpmn:2",
            "bytes that are not valid in the declared encoding Shift_JIS",
        ),
        (
            b'<?xml version="1.0" encoding="UTF-8"?>\n<a>\n  <b x="\xe4"/></a>',
            "f.bpmn:3",
            'not well-formed XML: bytes that are not valid in its encoding UTF-8 (column 9, at `\ufffd"/></a>`)',
        ),
        (b"", "f.bpmn", "the file is empty"),
        (
            b'<?xml version="1.0" encoding="windows-1252"?>\n\n<a b="\x81"/>',
            "f.bpmn:3",
            "bytes that are not valid in the declared encoding windows-1252",
        ),
        (
            b'<?xml version="1.0" encoding="utf_16"?><a/>',
            "f.bpmn",
            "cannot be read as XML: multi-byte encodings are not supported",
        ),
        (
            b'<?xml version="1.0" encoding="utf-16"?><a/>',
            "f.bpmn:1",
            'not well-formed XML: encoding specified in XML declaration is incorrect (column 31, at `utf-16"?><a/>`)',
        ),
        ("\ufeff<a>\n</b>".encode("utf-16-le"), "f.bpmn:2", "not well-formed XML: mismatched tag (column 3)"),
        (
            '<?xml version="1.0" encoding="gbk"?><a>订</b>'.encode("gbk"),
            "f.bpmn:1",
            "not well-formed XML: mismatched tag (column 43, at `b>`)",
        ),
        (b"\xef\xbb\xbf \n", "f.bpmn", "the file is empty"),
    ],
)
def test_bytes_that_cannot_be_read_are_one_problem(content: bytes, where: str, what: str) -> None:
    found = problem(content)
    assert (found.where, found.what) == (where, what)


# --- What is refused --------------------------------------------------------------------------------------------------

BOMB = '<!DOCTYPE d [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>' + process('<task id="&b;"/>')


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (process("<task id='t'>"), "f.bpmn:1", "not well-formed XML: mismatched tag"),
        (process("\n<bpmn:task/>"), "f.bpmn:2", "not well-formed XML: unbound prefix (column 1, at `<bpmn:task/>"),
        (process("&nbsp;"), "f.bpmn:1", "not well-formed XML: undefined entity"),
        ("<definitions", "f.bpmn:1", "not well-formed XML: unclosed token"),
        ("<definitions>\n", "f.bpmn:2", "not well-formed XML: it ends before its first element is closed"),
        ("no xml", "f.bpmn:1", "not well-formed XML: syntax error"),
        (BOMB, "f.bpmn", "declares the entity 'a'; entities are refused"),
        (
            '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + process("&a;"),
            "f.bpmn",
            "declares the entity 'a'; entities are refused",
        ),
        ("<html/>", "f.bpmn", "not a BPMN file: its first element is `html`"),
        ('<definitions xmlns="urn:wsdl"/>', "f.bpmn", "not a BPMN 2.0 file: `definitions` belongs to urn:wsdl"),
        (definitions(""), "f.bpmn", "nothing to document: the file holds no process"),
        (
            definitions('<collaboration><participant id="x" name="Bank"/><participant id="y"/></collaboration>'),
            "f.bpmn",
            "nothing to document: a collaboration without a process (pools: Bank, (no name))",
        ),
    ],
)
def test_what_is_no_readable_model_is_one_problem(content: str, where: str, what: str) -> None:
    found = problem(content)
    assert found.where == where
    assert found.what.startswith(what), found.what


def test_a_doctype_without_entities_is_harmless() -> None:
    assert read('<!DOCTYPE definitions SYSTEM "http://192.0.2.1/x.dtd">' + process("")).nodes[0].id == "p"


def test_a_file_over_the_limit_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "FILE_BYTES_MAX", 10)
    assert problem(process("")).what.endswith("10 are the most that is read")


# --- What is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        definitions('<process id="p"><userTask id="t"/></process>'),
        '<b:definitions xmlns:b="urn:bpmn"><b:process id="p"><b:userTask id="t"/></b:process></b:definitions>',
        '<definitions><process id="p"><userTask id="t"/></process></definitions>',
        '<definitions xmlns="http://x/BPMN/2.0"><process id="p"><userTask id="t"/></process></definitions>',
        definitions(
            '<process id="p"><x:userTask xmlns:x="http://www.omg.org/spec/BPMN/20100524/MODEL" id="t"/></process>'
        ),
    ],
)
def test_any_prefix_none_and_older_namespaces_are_read(content: str) -> None:
    assert [(node.id, node.kind) for node in read(content).nodes] == [("p", "process"), ("t", "userTask")]


def test_elements_of_other_namespaces_are_not_taken_for_nodes() -> None:
    model = read(process('<v:task xmlns:v="urn:vendor" id="x"/><extensionElements><task id="y"/></extensionElements>'))
    assert [node.id for node in model.nodes] == ["p"]


def test_every_container_holds_its_nodes_in_document_order() -> None:
    model = read(
        process(
            '<subProcess id="a"><task id="a1"/><transaction id="b"><adHocSubProcess id="c"><task id="c1"/>'
            '</adHocSubProcess></transaction></subProcess><subProcess id="e" triggeredByEvent="true"><startEvent id="e1"/>'
            '</subProcess><task id="z"/>'
        )
    )
    assert [(node.id, node.kind, node.parent) for node in model.nodes] == [
        ("p", "process", NOWHERE),
        ("a", "subProcess", 0),
        ("a1", "task", 1),
        ("b", "transaction", 1),
        ("c", "adHocSubProcess", 3),
        ("c1", "task", 4),
        ("e", "eventSubProcess", 0),
        ("e1", "startEvent", 6),
        ("z", "task", 0),
    ]


def test_three_thousand_levels_need_no_deeper_stack() -> None:
    levels = 3_000
    model = read(process("".join(f'<subProcess id="s{n}">' for n in range(levels)) + "</subProcess>" * levels))
    assert model.nodes[-1].parent == levels - 1


def test_pools_lanes_and_messages_get_names() -> None:
    model = read(
        definitions(
            '<message id="m" name="Order"/>'
            '<collaboration id="c"><participant id="A" name="Shop" processRef="tns:p"/><participant id="B" name="Bank"/>'
            '<messageFlow id="f1" sourceRef="t" targetRef="B" messageRef="m"/>'
            '<messageFlow id="f2" sourceRef="B" targetRef="A" name="Money"/>'
            '<messageFlow id="f3" sourceRef="gone" targetRef="away"/></collaboration>'
            '<process id="p"><laneSet><lane name="Sales"><flowNodeRef>t</flowNodeRef><childLaneSet><lane name="EU">'
            "<flowNodeRef> u </flowNodeRef></lane></childLaneSet></lane></laneSet>"
            '<task id="t" name="Sell"/><subProcess id="u"><task id="v"/></subProcess></process>'
        )
    )
    assert model.pools == (Pool(name="Shop", process=0), Pool(name="Bank", process=NOWHERE))
    assert [node.pool for node in model.nodes] == ["Shop"] * 4
    assert [node.lane for node in model.nodes] == ["", "Sales", "Sales / EU", "Sales / EU"]
    assert model.messages == (
        Message(name="Order", source=1, source_name="Sell", target=NOWHERE, target_name="Bank"),
        Message(name="Money", source=NOWHERE, source_name="Bank", target=0, target_name="Shop"),
    )


def test_flows_carry_names_conditions_and_defaults() -> None:
    model = read(
        process(
            '<exclusiveGateway id="g" default="f2"/><task id="a"/><task id="b"/>'
            '<sequenceFlow id="f1" sourceRef="g" targetRef="a" name="yes"><conditionExpression> x &gt; 1 '
            '</conditionExpression></sequenceFlow><sequenceFlow id="f2" sourceRef="g" targetRef="b"/>'
            '<sequenceFlow id="f3" sourceRef="g" targetRef="nowhere"/>'
        )
    )
    assert model.flows == (
        Flow(source=1, target=2, name="yes", condition="x > 1"),
        Flow(source=1, target=3, default=True),
    )
    assert model.warnings == ("the sequence flow f3 names a target that is not in the file",)


def test_link_events_are_joined_by_name_in_their_container() -> None:
    throw = '<intermediateThrowEvent id="{0}"><linkEventDefinition name="L"/></intermediateThrowEvent>'
    catch = '<intermediateCatchEvent id="{0}"><linkEventDefinition name="L"/></intermediateCatchEvent>'
    model = read(
        process(throw.format("a") + catch.format("b") + f'<subProcess id="s">{catch.format("c")}</subProcess>')
    )
    assert model.flows == (Flow(source=1, target=2, name="L", link=True),)


def test_boundary_events_know_their_activity_and_what_sets_them_off() -> None:
    model = read(
        definitions(
            '<error id="e" name="No money" errorCode="402"/>'
            '<process id="p"><task id="t"/><boundaryEvent id="b" attachedToRef="t" cancelActivity="false">'
            '<errorEventDefinition errorRef="e"/></boundaryEvent>'
            '<boundaryEvent id="c" attachedToRef="t"><timerEventDefinition><timeDuration>PT5M</timeDuration>'
            '</timerEventDefinition></boundaryEvent><boundaryEvent id="d" attachedToRef="lost"/></process>'
        )
    )
    assert node(model, "b").attached_to == 1
    assert node(model, "b").triggers == (("error", "No money (402)"),)
    assert node(model, "b").traits == ("non-interrupting",)
    assert node(model, "c").triggers == (("timer", "PT5M"),)
    assert model.warnings == ("the boundary event d is attached to nothing in the file",)


def test_what_an_engine_needs_is_kept_as_details() -> None:
    vendors = 'xmlns:c="http://camunda.org/schema/1.0/bpmn" xmlns:z="http://camunda.org/schema/zeebe/1.0"'
    model = read(
        definitions(
            '<process id="p"><userTask id="u" c:assignee="anna" c:unknown="x"><potentialOwner>'
            "<resourceAssignmentExpression><formalExpression>sales</formalExpression></resourceAssignmentExpression>"
            '</potentialOwner></userTask><scriptTask id="s" scriptFormat="js"><script>a = 1;</script></scriptTask>'
            '<serviceTask id="z"><extensionElements><z:taskDefinition type="mail"/></extensionElements>'
            '<multiInstanceLoopCharacteristics isSequential="true"/></serviceTask>'
            '<task id="l" isForCompensation="true"><standardLoopCharacteristics/></task></process>',
            vendors,
        )
    )
    assert node(model, "u").details == (("assignee", "anna"), ("potentialOwner", "sales"))
    assert node(model, "s").details == (("scriptFormat", "js"), ("script", "a = 1;"))
    assert node(model, "z").details == (("taskDefinition type", "mail"),)
    assert node(model, "z").traits == ("sequential-multi-instance",)
    assert node(model, "l").traits == ("for-compensation", "loop")


def test_documentation_annotations_and_documents_read_and_written() -> None:
    model = read(
        process(
            "<documentation>Whole\nprocess</documentation>"
            '<dataObjectReference id="d" name="Invoice"/><dataStoreReference id="ds" name="Archive"/>'
            '<task id="t"><documentation>One</documentation><documentation> </documentation>'
            "<dataInputAssociation><sourceRef>d</sourceRef></dataInputAssociation>"
            "<dataOutputAssociation><targetRef>ds</targetRef></dataOutputAssociation></task>"
            '<textAnnotation id="n"><text>Mind the gap</text></textAnnotation>'
            '<association sourceRef="t" targetRef="n"/>'
        )
    )
    assert node(model, "p").documentation == ("Whole\nprocess",)
    task = node(model, "t")
    assert (task.documentation, task.annotations, task.reads, task.writes) == (
        ("One",),
        ("Mind the gap",),
        ("Invoice",),
        ("Archive",),
    )


ZEEBE = '<extensionElements><z:calledElement xmlns:z="urn:z" processId="{}"/></extensionElements>'


@pytest.mark.parametrize(
    ("call", "calls", "run_time"),
    [
        ('<callActivity id="c" calledElement="tns:other"/>', "tns:other", False),
        ('<callActivity id="c" calledElement="${x}"/>', "${x}", True),
        (f'<callActivity id="c">{ZEEBE.format("other")}</callActivity>', "other", False),
        (f'<callActivity id="c">{ZEEBE.format("= x")}</callActivity>', "= x", True),
        ('<callActivity id="c"/>', "", False),
    ],
)
def test_what_a_call_activity_calls_is_read_in_every_dialect(call: str, calls: str, run_time: bool) -> None:
    called = node(read(process(call)), "c")
    assert (called.calls, called.calls_at_run_time) == (calls, run_time)


def test_missing_and_repeated_ids_are_made_unique_and_reported() -> None:
    model = read(process('<task/><userTask id="a"/><task/><task id="a"/><task id="a~2"/><task id="a"/>'))
    assert [node.id for node in model.nodes] == ["p", "task-1", "a", "task-2", "a~3", "a~2", "a~4"]
    assert len(set(model.warnings)) == 4


def test_an_id_used_in_two_containers_is_found_in_the_flows_own() -> None:
    model = read(
        process(
            '<subProcess id="s1"><task id="t"/><task id="u"/><sequenceFlow sourceRef="t" targetRef="u"/></subProcess>'
            '<subProcess id="s2"><task id="t"/><task id="u"/><sequenceFlow sourceRef="t" targetRef="u"/></subProcess>'
        )
    )
    assert [(flow.source, flow.target) for flow in model.flows] == [(2, 3), (5, 6)]


def test_names_are_one_clean_line_and_long_texts_are_cut() -> None:
    model = read(process(f'<task id="t" name=" A&#10;&#9; B&#xFDD0;C "/><task id="u" name="{"x" * 600}"/>'))
    assert node(model, "t").name == "A BC"
    assert node(model, "u").name == "x" * 499 + "…"
    long = read(process(f"<documentation>{'y' * 30_000}</documentation>"))
    assert len(long.nodes[0].documentation[0]) == text.TEXT_CHARS_MAX


def test_a_namespace_with_a_space_is_a_warning_only() -> None:
    model = read(definitions('<process id="p"/>', 'xmlns:Process="http://x/Collapsed Process"'))
    assert model.warnings == (
        "the namespace of prefix 'Process' has a space in it and is no valid URI; read all the same",
    )


def test_choreographies_and_global_tasks_are_roots() -> None:
    model = read(
        definitions(
            '<globalUserTask id="g"/><choreography id="c"><choreographyTask id="t"/></choreography><task id="x"/>'
        )
    )
    assert [(node.id, node.kind) for node in model.nodes] == [
        ("g", NodeKind.GLOBAL_USER_TASK),
        ("c", NodeKind.CHOREOGRAPHY),
        ("t", NodeKind.CHOREOGRAPHY_TASK),
    ]
