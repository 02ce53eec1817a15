"""The simulator as a process: what it prints, how it cuts, how its clock serves several clients."""

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from lowtide_simulator.__main__ import main

HEADERS = {"x-api-key": "sk-simulated", "anthropic-version": "2026-10-21", "content-type": "application/json"}
BATCHES = "/v1/messages/batches"
Start = Callable[..., str]


def ask(address: str, method: str, path: str, body: Any = None) -> Any:
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data=raw, method=method, headers=HEADERS)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


def batch(count: int) -> dict[str, Any]:
    params = {"model": "claude-haiku-4-5", "max_tokens": 400, "messages": [{"role": "user", "content": "Say"}]}
    return {"requests": [{"custom_id": f"i{n}", "params": params} for n in range(count)]}


def raw_reply(address: str, method: str, path: str, body: Any = None) -> tuple[bytes, str]:
    """All bytes that come back, and how the connection ended: ``closed`` or ``reset``."""
    host, port = address.removeprefix("http://").split(":")
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len(payload)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()) + "\r\n"
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(head.encode() + payload)
        try:
            while chunk := sock.recv(65_536):
                received += chunk
        except ConnectionResetError:
            return received, "reset"
    return received, "closed"


def test_one_line_on_stdout_and_the_same_in_the_ready_file(tmp_path: Path, start_simulator: Start) -> None:
    ready = tmp_path / "ready.json"
    address = start_simulator(
        "--ready-file", str(ready), "--start", "2026-11-21T12:00:00+01:00", "--clock", "scaled", "--speed", "5"
    )
    told = json.loads(ready.read_text())
    assert (told["address"], told["clock"], told["simulated"]) == (address, "scaled", True)
    assert ask(address, "GET", "/_simulator/clock")["now"].startswith("2026-11-21T11:00:")


def test_an_address_that_is_taken_is_one_line_on_stderr_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "cannot listen" in err


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_quietly_when_told(name: signal.Signals) -> None:
    command = [sys.executable, "-m", "lowtide_simulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(name)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_a_cut_is_a_reset_and_never_a_500(start_simulator: Start) -> None:
    address = start_simulator()
    for fault, batches in (("cut_before_commit", 0), ("lost_reply_after_commit", 1)):
        ask(address, "POST", "/_simulator/faults", {"on": f"POST {BATCHES}", "fault": fault, "times": 1})
        assert raw_reply(address, "POST", BATCHES, batch(3)) == (b"", "reset")
        assert len(ask(address, "GET", BATCHES)["data"]) == batches


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "cut_results_after_bytes", "bytes": 0},
        {"fault": "cut_results_after_bytes", "bytes": 150_001},
        {"fault": "cut_results_at_line", "line": 90},
    ],
)
def test_a_download_is_cut_where_the_script_says(start_simulator: Start, fault: dict[str, Any]) -> None:
    address = start_simulator()
    place = f"{BATCHES}/{ask(address, 'POST', BATCHES, batch(200))['id']}/results"
    ask(address, "POST", "/_simulator/clock/advance", {"seconds": 86_400})
    whole, _ = raw_reply(address, "GET", place)
    ask(address, "POST", "/_simulator/faults", {"on": f"GET {BATCHES}/{{id}}/results", "times": 1, **fault})
    received, ending = raw_reply(address, "GET", place)
    assert ending == "reset"
    body = unchunk(received)
    assert unchunk(whole).startswith(body)
    assert len(body) == fault["bytes"] if "bytes" in fault else body.count(b"\n") == fault["line"]


def unchunk(reply: bytes) -> bytes:
    """The body of a chunked reply, as far as it came."""
    _, _, rest = reply.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def test_a_body_may_come_in_chunks_without_a_length(start_simulator: Start) -> None:
    address = start_simulator()
    host, port = address.removeprefix("http://").split(":")
    raw = json.dumps(batch(500)).encode()
    connection = HTTPConnection(host, int(port), timeout=30)
    connection.request(
        "POST", BATCHES, (raw[n : n + 997] for n in range(0, len(raw), 997)), HEADERS, encode_chunked=True
    )
    made = json.loads(connection.getresponse().read())
    connection.close()
    assert made["request_counts"]["processing"] == 500


def sleep(address: str, client: str, until: str, lease: float = 5.0) -> Any:
    return ask(address, "POST", "/_simulator/clock/sleep", {"client": client, "until": until, "lease_seconds": lease})


def test_two_clients_sleep_on_one_clock(start_simulator: Start) -> None:
    address = start_simulator()
    ask(address, "GET", "/_simulator/clock?client=second")
    woken: list[str] = []

    def first() -> None:
        woken.append(sleep(address, "first", "2026-11-21T11:00:00Z")["now"])

    thread = threading.Thread(target=first)
    thread.start()
    assert sleep(address, "second", "2026-11-21T10:30:00Z")["now"] == "2026-11-21T10:30:00.000000Z"
    assert woken == [], "the first sleeps on while the second works"
    ask(address, "DELETE", "/_simulator/clock/clients/second")
    thread.join(10)
    assert woken == ["2026-11-21T11:00:00.000000Z"]


def test_a_client_killed_in_its_sleep_does_not_hold_the_clock(start_simulator: Start) -> None:
    address = start_simulator()
    ask(address, "GET", "/_simulator/clock?client=alive")
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"client": "dead", "until": "2026-11-21T10:01:00Z", "lease_seconds": 60}).encode()
    head = f"POST /_simulator/clock/sleep HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(head + body)
        while "dead" not in ask(address, "GET", "/_simulator/state")["clients"]:
            pass
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    began = time.monotonic()
    while "dead" in ask(address, "GET", "/_simulator/state")["clients"]:
        assert time.monotonic() - began < 20, "its lease of 60 seconds was waited for"
    assert sleep(address, "alive", "2026-11-21T12:00:00Z")["now"] == "2026-11-21T12:00:00.000000Z"
    assert time.monotonic() - began < 30
    assert set(ask(address, "GET", "/_simulator/state")["clients"]) <= {"alive"}


def test_webhooks_leave_by_themselves_on_a_clock_that_runs(start_simulator: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        receiver.settimeout(20)
        address = start_simulator(
            "--clock", "scaled", "--speed", "500", "--webhook-url", f"http://127.0.0.1:{receiver.getsockname()[1]}/hook"
        )
        headers = {**HEADERS, "authorization": "Bearer sk-simulated"}
        del headers["x-api-key"], headers["anthropic-version"]
        body = json.dumps({"model": "gpt-6-luna", "input": "Hello", "background": True}).encode()
        request = urllib.request.Request(address + "/v1/responses", data=body, method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            name = json.loads(reply.read())["id"]
        told, _ = receiver.accept()
        with told:
            received = b""
            while not received.endswith(b"}}"):
                received += told.recv(65_536)
            told.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    head, _, event = received.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"webhook-signature: v1," in head
    assert json.loads(event)["type"] == "response.completed"
    assert json.loads(event)["data"] == {"id": name}
