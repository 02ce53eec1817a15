"""Webhooks: what is sent, how it is signed, and what goes wrong on purpose. Standard Webhooks' own package is the judge."""

import json
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

from lowtide_simulator.in_process import OPENAI_HEADERS, InProcess
from lowtide_simulator.webhooks import SECRET
from lowtide_simulator.world import Turnaround, World, WorldOptions

LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/responses",
    "body": {"model": "gpt-6-luna", "max_output_tokens": 20, "input": "Hello"},
}


class Receiver:
    """One world with a receiver in the same process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.it = InProcess(World(WorldOptions(turnaround=Turnaround.parse("60"))), OPENAI_HEADERS)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.it.world.webhooks.sink = self.take
        self.patch = monkeypatch

    def take(self, headers: dict[str, str], body: bytes) -> int:
        self.got.append((headers, body))
        return self.status

    def fault(self, on: str, kind: str, **fields: Any) -> None:
        self.it.ask("POST", "/_simulator/faults", {"on": on, "fault": kind, "times": 1, **fields})

    def submit(self, line: dict[str, Any] | None = None) -> str:
        file = self.it.upload(json.dumps(line or LINE).encode()).json()["id"]
        body = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
        return str(self.it.ask("POST", "/v1/batches", body).json()["id"])

    def background(self) -> str:
        body = {"model": "gpt-6-luna", "input": "Hello", "background": True}
        return str(self.it.ask("POST", "/v1/responses", body).json()["id"])

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def verify(self, index: int = 0) -> Any:
        """What the judge makes of one delivery, its clock set to the simulated one."""
        headers, body = self.got[index]
        now = int(headers["webhook-timestamp"])

        class Clock(standardwebhooks.webhooks.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return cls.fromtimestamp(now, tz)

        self.patch.setattr(standardwebhooks.webhooks, "datetime", Clock)
        return Webhook(SECRET).verify(body, headers)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    return Receiver(monkeypatch)


def test_every_end_of_a_batch_is_told_and_nothing_else(receiver: Receiver) -> None:
    it = receiver.it
    names = {"batch.completed": receiver.submit(), "batch.failed": receiver.submit({"nonsense": 1})}
    receiver.fault("POST /v1/batches", "stuck")
    names["batch.expired"] = receiver.submit()
    names["batch.cancelled"] = receiver.submit()
    it.ask("POST", f"/v1/batches/{names['batch.cancelled']}/cancel")
    it.advance(86_400)
    found = receiver.events()
    assert {event["type"]: event["data"]["id"] for event in found} == names
    assert all(set(event) == {"id", "object", "created_at", "type", "data"} for event in found)
    assert len({event["id"] for event in found}) == 4


def test_every_end_of_a_background_response_is_told(receiver: Receiver) -> None:
    names = {"response.completed": receiver.background(), "response.cancelled": receiver.background()}
    receiver.it.ask("POST", f"/v1/responses/{names['response.cancelled']}/cancel")
    receiver.fault("POST /v1/responses", "background_fails")
    names["response.failed"] = receiver.background()
    receiver.it.advance(86_400)
    assert {event["type"]: event["data"]["id"] for event in receiver.events()} == names


def test_the_signature_is_standard_webhooks(receiver: Receiver) -> None:
    name = receiver.submit()
    receiver.it.advance(86_400)
    assert receiver.verify()["data"] == {"id": name}
    headers, body = receiver.got[0]
    receiver.got[0] = (headers, body.replace(b"completed", b"cancelled"))
    with pytest.raises(WebhookVerificationError):
        receiver.verify()


def test_a_forged_one_is_not_accepted(receiver: Receiver) -> None:
    receiver.fault("WEBHOOK batch.completed", "webhook_forged")
    receiver.submit()
    receiver.it.advance(86_400)
    with pytest.raises(WebhookVerificationError):
        receiver.verify()


def test_lost_twice_delayed_and_out_of_order(receiver: Receiver) -> None:
    it = receiver.it
    receiver.fault("WEBHOOK {event}", "webhook_lost")
    receiver.submit()
    it.advance(1_000)
    assert receiver.got == []
    receiver.fault("WEBHOOK {event}", "webhook_twice")
    receiver.submit()
    it.advance(1_000)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 2
    receiver.got.clear()
    receiver.fault("WEBHOOK {event}", "webhook_delayed", seconds=3_600)
    receiver.submit()
    it.advance(1_000)
    assert receiver.got == []
    it.advance(3_600)
    (event,) = receiver.events()
    told = int(receiver.got[0][0]["webhook-timestamp"])
    assert told - event["created_at"] >= 3_600, "signed when it was sent"
    receiver.got.clear()
    receiver.fault("WEBHOOK {event}", "webhook_reordered")
    first = receiver.submit()
    it.advance(1_000)
    assert receiver.got == []
    second = receiver.submit()
    it.advance(1_000)
    assert [event["data"]["id"] for event in receiver.events()] == [second, first]


def test_a_receiver_that_fails_is_asked_again_for_three_days(receiver: Receiver) -> None:
    receiver.status = 302
    receiver.submit()
    for _ in range(5 * 24):
        receiver.it.advance(3_600)
    times = [int(headers["webhook-timestamp"]) for headers, _ in receiver.got]
    assert times == sorted(times)
    assert 10 < len(times) < 20
    assert times[-1] - times[0] <= 5 * 86_400
    before = len(times)
    receiver.it.advance(30 * 86_400)
    assert len(receiver.got) == before
    log = receiver.it.ask("GET", "/_simulator/webhooks").json()["deliveries"]
    assert [line["attempt"] for line in log] == list(range(1, before + 1))
    assert {line["status"] for line in log} == {302}


def test_nobody_is_told_unless_there_is_a_receiver(receiver: Receiver) -> None:
    receiver.it.world.webhooks.sink = None
    receiver.submit()
    receiver.it.advance(86_400)
    assert receiver.it.ask("GET", "/_simulator/webhooks").json() == {"url": None, "waiting": 0, "deliveries": []}


@pytest.mark.parametrize("body", [{"url": "ftp://x"}, {"url": "http://127.0.0.1:1", "secret": "whsec_~"}, {}])
def test_a_wrong_receiver_is_refused(receiver: Receiver, body: dict[str, Any]) -> None:
    assert receiver.it.ask("POST", "/_simulator/webhooks", body).status == 400


def test_an_address_where_nobody_listens_is_a_failed_attempt(receiver: Receiver) -> None:
    receiver.it.world.webhooks.sink = None
    assert receiver.it.ask("POST", "/_simulator/webhooks", {"url": "http://127.0.0.1:1/x"}).json()["secret"] == SECRET
    receiver.submit()
    receiver.it.advance(100)
    assert receiver.it.ask("GET", "/_simulator/webhooks").json()["deliveries"][0]["status"] == 0
