"""``lowtide webhooks``: a process that listens, is spoken to over TCP, says what it heard, and leaves cleanly."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook

if TYPE_CHECKING:
    from desks import Desk

SECRET = "whsec_" + "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIGI="
OTHER = "whsec_" + "YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGU="
LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/responses",
    "body": {"model": "gpt-6-luna", "max_output_tokens": 20, "input": "Hello"},
}


def ask(
    address: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[int, bytes]:
    """One request over TCP; ``None`` for a body asks by GET."""
    request = urllib.request.Request(address, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def signed(body: bytes, webhook_id: str, secret: str = SECRET) -> dict[str, str]:
    now = datetime.fromtimestamp(int(time.time()), UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body.decode()),
    }


def event(type: str, name: str) -> bytes:  # noqa: A002 its name on the wire
    return json.dumps({"id": "evt", "object": "event", "created_at": 1, "type": type, "data": {"id": name}}).encode()


def listening(process: "subprocess.Popen[str]") -> str:
    """Wait until it listens; gives its address."""
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["type"] == "listening"
    return str(first["address"])


def left(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[list[dict[str, object]], str]:
    """Ask it to leave; gives what it said."""
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()], err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_says_what_it_heard_and_leaves_cleanly(empty_desk: "Desk", number: int) -> None:
    empty_desk.environment["OPENAI_WEBHOOK_SECRET"] = SECRET
    process = empty_desk.process("webhooks", "--port", "0", "--json")
    address = listening(process)
    body = event("batch.completed", "batch_a")
    assert ask(address, body, signed(body, "wh_1")) == (204, b"")
    assert ask(address, body, signed(body, "wh_1")) == (204, b"")
    assert ask(address, body, signed(body, "wh_2", OTHER)) == (400, b"signature\n")
    assert ask(address, body, signed(body, "wh_3", OTHER)) == (400, b"signature\n")
    assert ask(address)[0] == 405
    lines, err = left(process, number)
    said = [(line["verdict"], line.get("event"), line.get("object")) for line in lines if line["type"] == "webhook"]
    assert said == [
        ("unknown_object", "batch.completed", "batch_a"),
        ("duplicate", "batch.completed", "batch_a"),
        ("signature", None, None),  # the second is only counted
    ]
    assert lines[-1]["counts"] == {"duplicate": 1, "signature": 2, "unknown_object": 1}
    assert err == ""


def test_people_read_lines_and_a_sum(empty_desk: "Desk") -> None:
    empty_desk.environment |= {"OLD_SECRET": OTHER, "NEW_SECRET": SECRET}
    process = empty_desk.process("webhooks", "--port", "0", "--secret", "env:NEW_SECRET", "--secret", "env:OLD_SECRET")
    assert process.stderr is not None
    first = process.stderr.readline()
    address = first.split()[2]
    assert first == f"Listening at {address} for OpenAI's webhooks. Ctrl-C stops it.\n"
    old, new = event("batch.completed", "batch_a"), event("video.completed", "video_a")
    assert ask(address, old, signed(old, "wh_1", OTHER))[0] == 204
    assert ask(address, new, signed(new, "wh_2"))[0] == 204
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [line.split("Z  ")[1] for line in err.splitlines()] == [
        "batch.completed batch_a is not ours, or has landed",
        "video.completed video_a is of no kind that we listen for",
    ]
    assert out.splitlines() == [
        "2 deliveries",
        "        1  is not ours, or has landed",
        "        1  is of no kind that we listen for",
    ]


def test_a_simulator_delivers_on_its_own_clock(empty_desk: "Desk", start_simulator: Callable[..., str]) -> None:
    """It waits for our answer while we ask it what time it is."""
    provider = start_simulator("--results-delay", "600")
    empty_desk.environment |= {"LOWTIDE_SIMULATOR": provider, "OPENAI_WEBHOOK_SECRET": SECRET}
    process = empty_desk.process("webhooks", "--port", "0", "--json")
    address = listening(process)

    def tell(path: str, body: object) -> dict[str, object]:
        headers = {"content-type": "application/json", "authorization": "Bearer sk-simulated"}
        status, reply = ask(provider + path, json.dumps(body).encode(), headers)
        assert status == 200, reply
        return dict(json.loads(reply))

    tell("/_simulator/webhooks", {"url": address, "secret": SECRET})
    lines = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\ncontent-disposition: form-data;'
        b' name="file"; filename="a.jsonl"\r\n\r\n' + json.dumps(LINE).encode() + b"\n\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b", "authorization": "Bearer sk-simulated"}
    file = json.loads(ask(f"{provider}/v1/files", lines, headers)[1])["id"]
    wish = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
    batch = tell("/v1/batches", wish)["id"]
    tell("/_simulator/clock/advance", {"seconds": 700})
    assert process.stdout is not None
    heard = json.loads(process.stdout.readline())  # it is delivered after the answer to that request
    assert (heard["verdict"], heard["event"], heard["object"]) == ("unknown_object", "batch.completed", batch)
    left(process)
    (sent,) = json.loads(ask(f"{provider}/_simulator/webhooks")[1])["deliveries"]
    assert (sent["status"], sent["attempt"]) == (204, 1)


@pytest.mark.parametrize(
    ("words", "secret", "code", "told"),
    [
        (["--host", "0.0.0.0"], SECRET, 2, "0.0.0.0 can be reached from other machines"),
        (["--secret", "whsec_" + "A" * 43], SECRET, 2, "is never the secret itself"),
        ([], "", 4, "no webhook secret: env:OPENAI_WEBHOOK_SECRET is empty or not set"),
        ([], "sk-proj-AAAAAAAA", 4, "does not begin with whsec_"),
        (["--secret", "file:none"], SECRET, 4, "cannot read the key in none"),
    ],
)
def test_what_is_wrong_is_told_before_it_listens(
    empty_desk: "Desk", words: list[str], secret: str, code: int, told: str
) -> None:
    empty_desk.environment["OPENAI_WEBHOOK_SECRET"] = secret
    said = empty_desk("webhooks", *words)
    assert said.code == code
    assert told in said.err
    assert "AAAA" not in said.err
