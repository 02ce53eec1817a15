"""What goes wrong, told in words: no traceback, the exit code that was promised, and what to type next."""

import signal
import socket

import pytest
from syrupy.assertion import SnapshotAssertion


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "nowhere"),
        ("statsu",),
        ("status", "r_nothing"),
        ("run", "p_nothing", "--yes"),
        ("run", "what", "--yes"),
        ("raise", "r_nothing", "--cap", "1"),
        ("plan", ".", "--cap", "much"),
        ("prices", "--on", "tomorrow"),
        ("prune", "--older-than", "long"),
        ("demo", "--simulator", "http://127.0.0.1:1"),
        ("status", "--simulator", "http://example.com"),
        ("results", "r_nothing", "--format", "csv", "--raw"),
    ],
    ids=" ".join,
)
def test_words_that_lead_nowhere(empty_desk, words, snapshot: SnapshotAssertion) -> None:
    said = empty_desk(*words)
    assert said.code in (1, 2)
    assert said.out == ""
    assert str(said) == snapshot


def test_errors_for_programs_are_one_object(empty_desk) -> None:
    (told,) = empty_desk("status", "r_nothing", "--json").objects
    assert told == {
        "schema": "lowtide/1",
        "error": {
            "code": "not_found",
            "message": "there is no run r_nothing",
            "hint": "lowtide status lists the runs",
            "problems_count": 0,
            "problems": [],
            "changes": [],
        },
    }
    (usage,) = empty_desk("status", "--limit", "x", "--json").objects
    assert usage["error"]["code"] == "usage"
    assert usage["error"]["hint"] == "lowtide status --help"


def test_no_key(empty_desk, snapshot: SnapshotAssertion) -> None:
    said = empty_desk("run", empty_desk.requests(2), "--yes", "-q")
    assert said.code == 4
    assert str(said) == snapshot
    assert empty_desk("status", "--json").objects[0]["runs"] == [], "there is no run that could not begin"


def test_a_key_that_is_not_accepted(empty_desk, start_simulator, snapshot: SnapshotAssertion) -> None:
    address = start_simulator("--clock", "system", "--api-key", "the right one")
    empty_desk.environment |= {"LOWTIDE_BASE_URL": address, "LOWTIDE_OPENAI_BASE_URL": address}
    empty_desk.environment |= {"ANTHROPIC_API_KEY": "a wrong one", "OPENAI_API_KEY": ""}
    said = empty_desk("run", empty_desk.requests(2), "--yes", "-q")
    assert said.code == 4
    assert "a wrong one" not in said.out + said.err
    assert "invalid x-api-key (401 authentication_error)" in said.err
    assert "set a key that is accepted, then lowtide run r_" in said.err
    doctor = empty_desk("doctor")
    assert doctor.code == 1
    assert "key      bad" in doctor.out
    empty_desk.environment["ANTHROPIC_API_KEY"] = "the right one"
    again = empty_desk("doctor")
    assert again.code == 0, again.out


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_no_simulator(empty_desk, closed_port: int, snapshot: SnapshotAssertion) -> None:
    said = empty_desk("plan", empty_desk.requests(2), "--simulator", f"http://127.0.0.1:{closed_port}")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "Connect call failed" in said.err or "Cannot connect" in said.err
    assert f"is http://127.0.0.1:{closed_port} reachable from here?" in said.err


def test_no_network_is_waited_for_and_told(empty_desk, closed_port: int) -> None:
    empty_desk.environment |= {"LOWTIDE_BASE_URL": f"http://127.0.0.1:{closed_port}", "ANTHROPIC_API_KEY": "x"}
    process = empty_desk.process("run", empty_desk.requests(2), "--yes", "-q")
    assert process.stderr is not None
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "warning: no answer to POST /v1/messages" in line
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_store_that_is_none(empty_desk, snapshot: SnapshotAssertion) -> None:
    (empty_desk.folder / "store").mkdir()
    (empty_desk.folder / "store" / "store.db").write_text("this is no database, it is a letter to a friend" * 30)
    said = empty_desk("status")
    assert said.code == 1
    assert said.told == snapshot


def test_a_store_that_may_not_be_written(empty_desk) -> None:
    said = empty_desk("status", "--store", "/proc/nowhere")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert said.err.startswith("error: ")


def test_simulated_and_real_money_never_share_a_store(desk) -> None:
    assert desk("plan", desk.requests(2)).code == 0
    del desk.environment["LOWTIDE_SIMULATOR"]
    said = desk("status")
    assert said.code == 1
    assert "holds simulated money and cannot be used with real money" in said.err


def test_wrong_settings_are_all_told(empty_desk, snapshot: SnapshotAssertion) -> None:
    empty_desk.write("lowtide.toml", 'modle = "x"\ntries_max = 0\napi_key = "sk-ant-oops"\n')
    said = empty_desk("config", "show")
    assert said.code == 2
    assert "sk-ant-oops" not in said.err
    assert said.told == snapshot


def test_a_plan_whose_input_changed_is_not_run(desk, snapshot: SnapshotAssertion) -> None:
    plan = str(desk("plan", desk.requests(2), "--json").objects[0]["plan"])
    desk.requests(3)
    said = desk("run", plan, "--yes")
    assert said.code == 1
    assert said.told == snapshot


def test_colour_only_when_asked_for(desk) -> None:
    name = desk.requests(2)
    assert "\x1b[" not in desk("plan", name).out
    assert "\x1b[" in desk("plan", name, "--color", "always").out
    desk.environment["FORCE_COLOR"] = "1"
    assert "\x1b[" in desk("plan", name).out
    assert "\x1b[" not in desk("plan", name, "--color", "never").out
    desk.environment["NO_COLOR"] = "1"
    assert "\x1b[3" not in desk("plan", name).out


def test_names_and_messages_of_others_steer_no_terminal(desk) -> None:
    name = "a\x1b[2Jred\x9b31m.jsonl"
    desk.requests(2, name=name)
    for said in (desk("plan", name), desk("status"), desk("plan", "no\x1b[2Jsuch"), desk("run", name, "--yes")):
        assert "\x1b" not in said.out + said.err
        assert "\x9b" not in said.out + said.err
        assert "�[2J" in said.out + said.err
    desk.write("bad.jsonl", '{"custom_id": "\\u001b[2J"}\n')
    assert "\x1b" not in desk("plan", "bad.jsonl").err
    assert desk("--color", "always", "status").out.count("\x1b["), "our own colours stay"


def test_a_link_that_leads_to_itself_is_told(desk) -> None:
    desk.folder.joinpath("loop.jsonl").symlink_to("loop.jsonl")
    for words in ((), ("--detailed-exitcode",)):
        said = desk("plan", "loop.jsonl", *words)
        assert (said.code, said.err.splitlines()[0]) == (1, "error: there is no loop.jsonl")
