"""The provider's HTTP surface, in process."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from lowtide_simulator.answers import Chances
from lowtide_simulator.clock import ClockMode
from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.in_process import Answered, InProcess
from lowtide_simulator.limits import Tier
from lowtide_simulator.world import Turnaround, Unknowns, World, WorldOptions

MESSAGE = {"model": "claude-sonnet-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
BATCHES = "/v1/messages/batches"
OLD = "2023-06-01"


def requests(count: int, **params: Any) -> dict[str, Any]:
    entries = [
        {"custom_id": f"i{n}", "params": {**MESSAGE, "messages": [{"role": "user", "content": f"Say {n}"}], **params}}
        for n in range(count)
    ]
    return {"requests": entries}


def provider(**options: Any) -> InProcess:
    return InProcess(World(WorldOptions(**{"turnaround": Turnaround.parse("600"), **options})))


def create(it: InProcess, count: int = 3, **params: Any) -> dict[str, Any]:
    answer = it.ask("POST", BATCHES, requests(count, **params))
    assert answer.status == 200, answer.body
    return dict(answer.json())


def fault(it: InProcess, on: str, kind: str, **fields: Any) -> None:
    answer = it.ask("POST", "/_simulator/faults", {"on": on, "fault": kind, **({"times": 1} | fields)})
    assert answer.status == 200, answer.body


def refused(answer: Answered, status: int, kind: str) -> str:
    body = answer.json()
    assert (answer.status, body["error"]["type"]) == (status, kind), body
    assert body["request_id"] == answer.headers["request-id"]
    return str(body["error"]["message"])


# ------------------------------------------------------------------ the door


def test_both_ways_of_sending_the_key() -> None:
    it = provider(api_keys=frozenset({"sk-good"}))
    bearer = {"x-api-key": None, "authorization": "Bearer sk-good"}
    assert it.ask("POST", "/v1/messages", MESSAGE, {"x-api-key": "sk-good"}).status == 200
    assert it.ask("POST", "/v1/messages", MESSAGE, bearer).status == 200
    for headers, message in (
        ({"x-api-key": None}, "x-api-key header is required"),
        ({"x-api-key": "sk-other"}, "invalid x-api-key"),
        ({"x-api-key": None, "authorization": "Bearer sk-other"}, "Invalid bearer token"),
    ):
        assert refused(it.ask("POST", "/v1/messages", MESSAGE, headers), 401, "authentication_error") == message


@pytest.mark.parametrize("version", [None, "2024-01-01"])
def test_the_version_header_is_required_and_known(version: str | None) -> None:
    answer = provider().ask("POST", "/v1/messages", MESSAGE, {"anthropic-version": version})
    assert "anthropic-version" in refused(answer, 400, "invalid_request_error")


def test_every_reply_has_an_id_and_the_simulated_date() -> None:
    it = provider()
    it.advance(3_600)
    answers = [
        it.ask("POST", "/v1/messages", MESSAGE),
        it.ask("GET", "/v1/models"),
        it.ask("GET", "/v1/nothing"),
        it.ask("PUT", "/v1/messages"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 404, 405]
    assert len({answer.headers["request-id"] for answer in answers}) == 4
    assert {answer.headers["date"] for answer in answers} == {"Sat, 21 Nov 2026 11:00:00 GMT"}


def test_bodies_must_be_json_and_say_so() -> None:
    it = provider()
    refused(it.ask("POST", "/v1/messages", b"{nope"), 400, "invalid_request_error")
    refused(it.ask("POST", "/v1/messages", b"[]"), 400, "invalid_request_error")
    refused(it.ask("POST", "/v1/messages", MESSAGE, {"content-type": "text/plain"}), 400, "invalid_request_error")
    assert provider(strict=False).ask("POST", "/v1/messages", MESSAGE, {"content-type": None}).status == 200


def test_too_large_is_answered_by_the_edge_without_json_or_id() -> None:
    it = provider(message_bytes_max=200, batch_bytes_max=300)
    for answer in (
        it.ask("POST", "/v1/messages", {**MESSAGE, "system": "x" * 300}),
        it.ask("POST", BATCHES, requests(9)),
    ):
        assert answer.status == 413
        assert answer.headers["content-type"] == "text/html"
        assert "request-id" not in answer.headers


def test_the_same_seed_and_calls_give_the_same_world() -> None:
    def life(seed: int) -> list[Any]:
        it = InProcess(World(WorldOptions(seed=seed)))
        batch = create(it, 20)
        it.advance(86_400)
        return [batch, it.ask("GET", f"{BATCHES}/{batch['id']}/results").body, it.ask("GET", "/_simulator/bill").body]

    assert life(3) == life(3)
    assert life(3)[0]["id"] != life(4)[0]["id"]
    assert life(3)[1] != life(4)[1]


# ------------------------------------------------------------------ messages


def test_limits_answer_429_with_retry_after_and_time_heals_them() -> None:
    it = provider(tier=Tier.TIER_1)
    for _ in range(50):
        assert it.ask("POST", "/v1/messages", MESSAGE).status == 200
    answer = it.ask("POST", "/v1/messages", MESSAGE)
    assert "50 requests per minute" in refused(answer, 429, "rate_limit_error")
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "0"
    lines = it.ask("GET", "/_simulator/bill").json()["lines"]
    it.advance(int(answer.headers["retry-after"]))
    assert it.ask("POST", "/v1/messages", MESSAGE).status == 200
    assert (lines, it.ask("GET", "/_simulator/bill").json()["lines"]) == (50, 51)


def test_a_retired_model_is_not_found_from_its_day_on() -> None:
    it = provider()
    old = {**MESSAGE, "model": "claude-sonnet-4-5"}
    assert it.ask("POST", "/v1/messages", old).status == 200
    it.advance(9 * 86_400)
    assert refused(it.ask("POST", "/v1/messages", old), 404, "not_found_error") == "model: claude-sonnet-4-5"
    assert it.ask("GET", "/v1/models/claude-sonnet-4-5").json()["lifecycle"] == "retired"
    assert "claude-sonnet-4-5-20250929" not in [
        model["id"] for model in it.ask("GET", "/v1/models?limit=1000").json()["data"]
    ]


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    long = {**MESSAGE, "model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "x" * 1_000_000}]}
    message = refused(provider().ask("POST", "/v1/messages", long), 400, "invalid_request_error")
    assert message.startswith("prompt is too long: 2857")
    assert message.endswith("tokens > 200000 maximum")


def test_a_stream_that_breaks_is_billed_for_what_was_generated() -> None:
    costs = []
    for kind in (None, "sse_error_after_200", "cut_stream"):
        it = provider()
        if kind:
            fault(it, "POST /v1/messages", kind, events=5)
        body = {**MESSAGE, "max_tokens": 1_000, "stream": True}
        if kind == "cut_stream":
            with pytest.raises(ConnectionCut):
                it.ask("POST", "/v1/messages", body)
            assert it.received.count(b"event: ") == 5
        else:
            answer = it.ask("POST", "/v1/messages", body)
            assert answer.status == 200
            assert (b"event: error" in answer.body) is (kind is not None)
        costs.append(it.ask("GET", "/_simulator/bill").json()["nanos"])
    assert 0 < costs[1] == costs[2] < costs[0]


# ------------------------------------------------------------------ batches


def test_counts_stay_frozen_until_the_whole_batch_ends() -> None:
    it = provider()
    batch = create(it, 10)
    place = f"{BATCHES}/{batch['id']}"
    it.advance(599)
    running = it.ask("GET", place)
    assert running.json()["request_counts"] == {
        "processing": 10,
        "succeeded": 0,
        "errored": 0,
        "canceled": 0,
        "expired": 0,
    }
    assert running.headers["retry-after"] == "10"
    assert "has no available results" in refused(it.ask("GET", place + "/results"), 404, "not_found_error")
    it.advance(1)
    ended = it.ask("GET", place).json()
    assert (ended["processing_status"], ended["request_counts"]["succeeded"]) == ("ended", 10)
    assert ended["ended_at"] == "2026-11-21T10:10:00.000000+00:00"
    assert ended["results_url"] == f"http://simulator{place}/results"


def test_results_are_lines_in_a_shuffled_and_stable_order() -> None:
    it = provider()
    place = f"{BATCHES}/{create(it, 50)['id']}/results"
    it.advance(600)
    first, second = it.ask("GET", place), it.ask("GET", place)
    assert first.headers["content-type"] == "application/x-jsonl"
    assert first.body == second.body
    assert first.body.endswith(b"}\n")
    assert b"\r" not in first.body
    assert b"\n\n" not in first.body
    names = [line["custom_id"] for line in first.lines()]
    assert sorted(names) == sorted(f"i{n}" for n in range(50))
    assert names != [f"i{n}" for n in range(50)]


def test_a_bad_item_errs_at_the_end_and_costs_nothing() -> None:
    it = provider()
    entries = requests(2)["requests"]
    entries[0]["params"] = {**entries[0]["params"], "colour": "red"}
    entries.append({"custom_id": "gone", "params": {**MESSAGE, "model": "claude-2"}})
    entries.append({"custom_id": "flow", "params": {**MESSAGE, "stream": True}})
    batch = it.ask("POST", BATCHES, {"requests": entries}).json()
    it.advance(600)
    rows = {line["custom_id"]: line["result"] for line in it.ask("GET", f"{BATCHES}/{batch['id']}/results").lines()}
    errors = {name: row["error"]["error"] for name, row in rows.items() if row["type"] == "errored"}
    assert errors["i0"] == {"type": "invalid_request_error", "message": "colour: Extra inputs are not permitted"}
    assert errors["gone"] == {"type": "not_found_error", "message": "model: claude-2"}
    assert errors["flow"]["type"] == "invalid_request_error"
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 1


def test_the_version_of_creation_governs_the_items() -> None:
    it = provider()
    for version, outcome in ((OLD, "succeeded"), ("2026-10-21", "errored")):
        body = requests(1, model="claude-haiku-4-5", temperature=0.2)
        batch = it.ask("POST", BATCHES, body, {"anthropic-version": version}).json()
        it.advance(600)
        (line,) = it.ask("GET", f"{BATCHES}/{batch['id']}/results", headers={"anthropic-version": "2026-10-21"}).lines()
        assert line["result"]["type"] == outcome


def test_the_list_is_newest_first_in_pages() -> None:
    it = provider()
    made = [create(it, 1)["id"] for _ in range(5)][::-1]
    assert [batch["id"] for batch in it.ask("GET", BATCHES).json()["data"]] == made
    page = it.ask("GET", f"{BATCHES}?limit=2&after_id={made[1]}").json()
    assert ([batch["id"] for batch in page["data"]], page["has_more"]) == (made[2:4], True)
    assert (page["first_id"], page["last_id"]) == (made[2], made[3])
    back = it.ask("GET", f"{BATCHES}?limit=2&before_id={made[3]}").json()
    assert ([batch["id"] for batch in back["data"]], back["has_more"]) == (made[1:3], True)
    assert it.ask("GET", f"{BATCHES}?after_id={made[4]}").json()["data"] == []
    for query in ("limit=0", "limit=1001", "limit=x", "after_id=nope", f"after_id={made[0]}&before_id={made[1]}"):
        refused(it.ask("GET", f"{BATCHES}?{query}"), 400, "invalid_request_error")


def test_cancel_lets_a_few_finish_and_bills_them() -> None:
    it = provider(cancel_finish_share=0.2)
    place = f"{BATCHES}/{create(it, 200)['id']}"
    it.advance(300)
    canceling = it.ask("POST", place + "/cancel").json()
    assert (canceling["processing_status"], canceling["request_counts"]["processing"]) == ("canceling", 200)
    assert it.ask("POST", place + "/cancel").json()["cancel_initiated_at"] == canceling["cancel_initiated_at"]
    it.advance(10)
    ended = it.ask("GET", place).json()
    counts = ended["request_counts"]
    assert ended["processing_status"] == "ended"
    assert 100 < counts["succeeded"] < 140
    assert counts["succeeded"] + counts["canceled"] == 200
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == counts["succeeded"]
    refused(it.ask("POST", place + "/cancel"), 400, "invalid_request_error")


def test_delete_only_after_the_end_and_the_bill_remembers() -> None:
    it = provider()
    place = f"{BATCHES}/{create(it)['id']}"
    refused(it.ask("DELETE", place), 400, "invalid_request_error")
    it.advance(600)
    before = it.ask("GET", "/_simulator/bill/lines").lines()
    assert it.ask("DELETE", place).json()["type"] == "message_batch_deleted"
    refused(it.ask("GET", place), 404, "not_found_error")
    assert it.ask("GET", "/_simulator/bill/lines").lines() == before
    assert len(before) == 3


def test_results_go_29_days_after_creation_and_the_batch_stays() -> None:
    it = provider()
    place = f"{BATCHES}/{create(it)['id']}"
    it.advance(29 * 86_400 - 1)
    assert it.ask("GET", place + "/results").status == 200
    it.advance(1)
    assert it.ask("GET", place + "/results").status == 404
    archived = it.ask("GET", place).json()
    assert (archived["archived_at"], archived["results_url"]) == ("2026-12-20T10:00:00.000000+00:00", None)


def test_a_batch_that_takes_too_long_expires_with_what_is_done() -> None:
    it = provider(turnaround=Turnaround.parse("172800"))
    place = f"{BATCHES}/{create(it, 200)['id']}"
    it.advance(86_400)
    counts = it.ask("GET", place).json()["request_counts"]
    assert 70 < counts["succeeded"] < 130
    assert counts["succeeded"] + counts["expired"] == 200


def test_shares_of_outcomes() -> None:
    it = provider(errored_share=0.2, expired_share=0.1)
    place = f"{BATCHES}/{create(it, 500)['id']}"
    it.advance(86_400)
    counts = it.ask("GET", place).json()["request_counts"]
    assert 60 < counts["errored"] < 140
    assert 25 < counts["expired"] < 75
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == counts["succeeded"]


@pytest.mark.parametrize(
    ("day", "free"),
    [
        ("2026-06-01", set()),
        ("2026-06-02", {"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"}),
        ("2026-09-23", {"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"}),
        ("2026-09-24", {"cyber", "general_harms"}),
    ],
)
def test_which_refusals_are_billed_by_day_and_category_on_both_lanes(day: str, free: set[str]) -> None:
    start = datetime.fromisoformat(day + "T00:00:00Z")
    it = provider(chances=Chances(refusal=1.0), start=start)
    it.ask("POST", BATCHES, requests(80, model="claude-opus-4-7"))
    it.advance(600)
    (batch,) = it.ask("GET", BATCHES).json()["data"]
    messages = {
        line["custom_id"]: line["result"]["message"]
        for line in it.ask("GET", f"{BATCHES}/{batch['id']}/results").lines()
    }
    billed = {line["custom_id"] for line in it.ask("GET", "/_simulator/bill/lines").lines()}
    seen = set()
    for name, message in messages.items():
        category = message["stop_details"]["category"]
        assert message["stop_reason"] == "refusal"
        assert (name in billed) is (bool(message["content"]) or category not in free)
        seen.add((category, bool(message["content"])))
    assert len(seen) == 10, "every category, before and in the middle of output"
    body = {**requests(1)["requests"][0]["params"], "model": "claude-opus-4-7"}
    single = it.ask("POST", "/v1/messages", body).json()
    lines = it.ask("GET", "/_simulator/bill/lines?after=0").lines()
    assert (len(lines) > len(billed)) is (bool(single["content"]) or single["stop_details"]["category"] not in free)


def test_the_queue_has_a_limit_by_tier() -> None:
    it = provider(tier=Tier.START)
    it.world.queued = 199_998
    refused(it.ask("POST", BATCHES, requests(3)), 429, "rate_limit_error")
    create(it, 2)
    it.advance(600)
    assert it.world.queued == 199_998


def test_what_no_source_tells_can_be_chosen() -> None:
    unknowns = Unknowns(
        duplicate_custom_id_status=409, empty_requests_status=422, delete_running_status=409, cancel_ended_status=409
    )
    it = provider(unknowns=unknowns)
    twins = {"requests": requests(1)["requests"] * 2}
    assert it.ask("POST", BATCHES, twins).status == 409
    assert it.ask("POST", BATCHES, {"requests": []}).status == 422
    place = f"{BATCHES}/{create(it)['id']}"
    assert it.ask("DELETE", place).status == 409
    it.advance(600)
    assert it.ask("POST", place + "/cancel").status == 409


def test_unsupported_items_can_be_refused_at_creation() -> None:
    body = requests(2, stream=True)
    assert provider().ask("POST", BATCHES, body).status == 200
    it = provider(unknowns=Unknowns(unsupported_in_batch_at_create=True))
    message = refused(it.ask("POST", BATCHES, body), 400, "invalid_request_error")
    assert message.startswith("requests.0.params.stream: ")
    assert it.ask("POST", BATCHES, requests(2, colour="red")).status == 200, "other mistakes still wait for the end"


# ------------------------------------------------------------------ faults


def test_a_lost_reply_commits_and_a_cut_before_does_not() -> None:
    it = provider()
    for kind, batches in (("cut_before_commit", 0), ("lost_reply_after_commit", 1)):
        fault(it, f"POST {BATCHES}", kind)
        with pytest.raises(ConnectionCut):
            it.ask("POST", BATCHES, requests(2))
        assert it.received == b""
        assert len(it.ask("GET", BATCHES).json()["data"]) == batches


def test_a_late_reply_comes_after_a_client_has_given_up() -> None:
    it = provider()
    fault(it, "POST /v1/messages", "late_reply", seconds=30)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(it.send("POST", "/v1/messages", MESSAGE), 0.05)

    asyncio.run(impatient())
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 1


def test_a_late_twin_appears_later_with_a_later_time() -> None:
    it = provider()
    fault(it, f"POST {BATCHES}", "delay", seconds=90)
    with pytest.raises(ConnectionCut):
        it.ask("POST", BATCHES, requests(2))
    it.advance(89)
    assert it.ask("GET", BATCHES).json()["data"] == []
    it.advance(1)
    (batch,) = it.ask("GET", BATCHES).json()["data"]
    assert batch["created_at"] == "2026-11-21T10:01:30.000000+00:00"


def test_a_slow_list_shows_a_batch_later_than_retrieve() -> None:
    it = provider()
    fault(it, f"POST {BATCHES}", "slow_list", seconds=30)
    name = create(it)["id"]
    assert it.ask("GET", f"{BATCHES}/{name}").status == 200
    assert it.ask("GET", BATCHES).json()["data"] == []
    it.advance(30)
    assert len(it.ask("GET", BATCHES).json()["data"]) == 1


@pytest.mark.parametrize(
    ("kind", "outcome"), [("items_errored", "errored"), ("items_expired", "expired"), ("items_canceled", "canceled")]
)
def test_items_can_end_as_the_script_says(kind: str, outcome: str) -> None:
    it = provider()
    fault(
        it, f"POST {BATCHES}", kind, custom_ids=["i3"], indexes=[5], error_type="overloaded_error", message="Overloaded"
    )
    place = f"{BATCHES}/{create(it, 10)['id']}"
    it.advance(86_400)
    rows = {line["custom_id"]: line["result"] for line in it.ask("GET", place + "/results").lines()}
    assert {name for name, row in rows.items() if row["type"] == outcome} == {"i3", "i5"}
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 8
    if outcome == "errored":
        assert rows["i3"]["error"]["error"] == {"type": "overloaded_error", "message": "Overloaded"}


def test_expired_items_make_the_batch_last_24_hours() -> None:
    it = provider()
    fault(it, f"POST {BATCHES}", "items_expired", rows=1)
    place = f"{BATCHES}/{create(it)['id']}"
    it.advance(86_399)
    assert it.ask("GET", place).json()["processing_status"] == "in_progress"
    it.advance(1)
    assert it.ask("GET", place).json()["request_counts"]["expired"] == 1


@pytest.mark.parametrize("where", [f"POST {BATCHES}", f"GET {BATCHES}/{{id}}/results"])
def test_rows_can_be_missing_or_come_twice_though_billed(where: str) -> None:
    for kind, count in (("rows_missing", 17), ("rows_twice", 23)):
        it = provider()
        fault(it, where, kind, rows=3, times=1)
        place = f"{BATCHES}/{create(it, 20)['id']}"
        it.advance(600)
        assert it.ask("GET", place).json()["request_counts"]["succeeded"] == 20
        lines = it.ask("GET", place + "/results").lines()
        assert len(lines) == count
        assert len({line["custom_id"] for line in lines}) == min(20, count)
        assert it.ask("GET", "/_simulator/bill").json()["lines"] == 20
        again = len(it.ask("GET", place + "/results").lines())
        assert again == (20 if where.startswith("GET") else count)


def test_results_can_be_cut_at_every_byte() -> None:
    it = provider()
    place = f"{BATCHES}/{create(it, 2, max_tokens=4)['id']}/results"
    it.advance(600)
    whole = it.ask("GET", place).body
    for size in range(0, len(whole), 7):
        fault(it, f"GET {BATCHES}/{{id}}/results", "cut_results_after_bytes", bytes=size)
        with pytest.raises(ConnectionCut):
            it.ask("GET", place)
        assert it.received == whole[:size]


def test_results_can_be_cut_at_a_line_torn_in_a_character_or_vanish() -> None:
    it = provider()
    place = f"{BATCHES}/{create(it, 60, max_tokens=900)['id']}/results"
    it.advance(600)
    where = f"GET {BATCHES}/{{id}}/results"
    whole = it.ask("GET", place).body
    fault(it, where, "cut_results_at_line", line=20)
    with pytest.raises(ConnectionCut):
        it.ask("GET", place)
    assert it.received == b"".join(whole.splitlines(keepends=True)[:20])
    fault(it, where, "truncated_utf8", line=5)
    torn = it.ask("GET", place)
    assert whole.startswith(torn.body)
    with pytest.raises(UnicodeDecodeError):
        torn.body.decode()
    fault(it, where, "results_vanish")
    assert it.ask("GET", place).status == 404
    fault(it, f"GET {BATCHES}/{{id}}", "wrong_host", host="http://elsewhere.invalid")
    assert it.ask("GET", place.removesuffix("/results")).json()["results_url"] == f"http://elsewhere.invalid{place}"


def test_scripted_statuses_and_their_headers() -> None:
    it = provider()
    fault(it, "POST /v1/messages", "status", status=529)
    answer = it.ask("POST", "/v1/messages", MESSAGE)
    assert refused(answer, 529, "overloaded_error") == "Overloaded"
    assert answer.headers["x-should-retry"] == "true"
    for retry_after in (None, 7):
        fault(it, "POST /v1/messages", "status", status=429, retry_after=retry_after)
        assert it.ask("POST", "/v1/messages", MESSAGE).headers.get("retry-after") == (
            str(retry_after) if retry_after else None
        )
    fault(it, "POST /v1/messages", "spend_cap_429")
    capped = it.ask("POST", "/v1/messages", MESSAGE)
    assert capped.json()["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert "retry-after" not in capped.headers
    fault(it, "POST /v1/messages", "status", status=413)
    assert it.ask("POST", "/v1/messages", MESSAGE).headers["content-type"] == "text/html"
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 0


def test_when_a_rule_fires() -> None:
    def statuses(**when: Any) -> list[int]:
        it = provider()
        it.ask("POST", "/_simulator/faults", {"on": "GET /v1/models/{id}", "fault": "status", "status": 500, **when})
        found = [it.ask("GET", "/v1/models/claude-sonnet-5").status for _ in range(40)]
        assert it.ask("GET", "/v1/models").status == 200
        return [number for number, status in enumerate(found, 1) if status == 500]

    assert statuses(nth=3) == [3]
    assert statuses(times=2) == [1, 2]
    assert statuses(nth=9, times=9) == list(range(9, 18))
    assert statuses() == list(range(1, 41))
    assert statuses(probability=0.5) == statuses(probability=0.5)
    assert 10 < len(statuses(probability=0.5)) < 30


def test_faults_can_be_listed_and_removed_and_mistakes_in_them_are_named() -> None:
    it = provider()
    fault(it, "POST /v1/messages", "status")
    fault(it, "* /v1/models", "status")
    listed = it.ask("GET", "/_simulator/faults").json()["faults"]
    assert [(rule["id"], rule["fault"]) for rule in listed] == [(1, "status"), (2, "status")]
    it.ask("DELETE", "/_simulator/faults?id=1")
    assert it.ask("POST", "/v1/messages", MESSAGE).status == 200
    assert it.ask("GET", "/v1/models").status == 500
    it.ask("DELETE", "/_simulator/faults")
    assert it.ask("GET", "/_simulator/faults").json() == {"faults": []}
    wrong = it.ask("POST", "/_simulator/faults", [{"on": "x", "fault": "earthquake"}])
    assert wrong.status == 400
    assert "$[0].fault" in wrong.json()["error"]
    assert it.ask("POST", "/_simulator/faults", {"on": "x", "fault": "status", "colour": 1}).status == 400


# ------------------------------------------------------------------ administration


def test_the_clock_over_http() -> None:
    it = provider()
    assert it.ask("GET", "/_simulator/clock").json()["now"] == "2026-11-21T10:00:00.000000Z"
    assert it.ask("POST", "/_simulator/clock/advance", {"seconds": 90}).json()["now"] == "2026-11-21T10:01:30.000000Z"
    assert (
        it.ask("POST", "/_simulator/clock/advance", {"to": "2026-11-22T00:00:00Z"}).json()["now"]
        == "2026-11-22T00:00:00.000000Z"
    )
    assert it.ask("POST", "/_simulator/clock/advance", {"to": "2026-11-21T00:00:00Z"}).status == 400
    assert it.ask("POST", "/_simulator/clock/advance", {}).status == 400
    slept = it.ask("POST", "/_simulator/clock/sleep", {"client": "a", "until": "2026-11-23T00:00:00Z"}).json()
    assert (slept["now"], slept["reached"], slept["mode"]) == ("2026-11-23T00:00:00.000000Z", True, "virtual")
    assert it.ask("POST", "/_simulator/clock/sleep", {"client": "a", "until": "soon"}).status == 400


def test_a_request_that_names_its_client_is_a_sign_of_life() -> None:
    it = provider()
    it.ask("POST", "/v1/messages", MESSAGE, {"x-simulator-client": "worker-1"})
    it.ask("GET", "/_simulator/clock?client=worker-2&lease_seconds=9")
    assert list(it.world.sleepers.clients) == ["worker-1", "worker-2"]
    it.ask("DELETE", "/_simulator/clock/clients/worker-1")
    assert list(it.world.sleepers.clients) == ["worker-2"]


def test_the_bill_sees_the_same_work_bought_twice() -> None:
    it = provider()
    create(it, 2)
    create(it, 2)
    it.ask("POST", "/v1/messages", {**MESSAGE, "messages": [{"role": "user", "content": "Say 1"}], "stream": True})
    it.advance(600)
    lines = it.ask("GET", "/_simulator/bill/lines").lines()
    digests = [line["prompt_digest"] for line in lines]
    assert (len(digests), len(set(digests))) == (5, 2)
    assert len({(line["batch_id"], line["custom_id"]) for line in lines}) == 5
    assert sum(line["nanos"] for line in lines) == it.ask("GET", "/_simulator/bill").json()["nanos"]
    assert it.ask("GET", "/_simulator/bill/lines?after=1&limit=2").lines() == lines[1:3]


def test_the_log_says_what_was_answered_and_what_was_cut() -> None:
    it = provider()
    it.ask("POST", "/v1/messages", MESSAGE)
    fault(it, "POST /v1/messages", "cut_before_commit")
    with pytest.raises(ConnectionCut):
        it.ask("POST", "/v1/messages", MESSAGE)
    logged = [(line["status"], line["faults"]) for line in it.ask("GET", "/_simulator/log").json()["requests"]]
    assert logged == [(200, []), (0, ["cut_before_commit"])]
    state = it.ask("GET", "/_simulator/state").json()
    assert state["requests"] == {"POST /v1/messages": 2}


def test_parallel_cold_requests_all_write_the_cache() -> None:
    marked = [{"type": "text", "text": "rules " * 2_000, "cache_control": {"type": "ephemeral"}}]
    it = provider(clock=ClockMode.SCALED, speed=1_000.0, latency_seconds=100.0)

    async def both() -> list[Answered]:
        return await asyncio.gather(*(it.send("POST", "/v1/messages", {**MESSAGE, "system": marked}) for _ in range(2)))

    first, second = (answer.json()["usage"] for answer in asyncio.run(both()))
    assert first["cache_creation_input_tokens"] > 0
    assert second["cache_creation_input_tokens"] == first["cache_creation_input_tokens"]
    assert asyncio.run(both())[0].json()["usage"]["cache_read_input_tokens"] > 0, "and later ones read it"


def test_a_turnaround_can_be_written_in_three_ways() -> None:
    assert {Turnaround.parse("90").draw(World().chance) for _ in range(9)} == {90_000_000}
    draws = [Turnaround.parse("60-3600").draw(World(WorldOptions(seed=seed)).chance) for seed in range(200)]
    assert 60_000_000 <= min(draws) < max(draws) <= 3_600_000_000
    assert Turnaround.parse("600~0.8").spread == 0.8
    with pytest.raises(ValueError, match="could not convert"):
        Turnaround.parse("soon")


def test_hundreds_of_worlds_are_cheap() -> None:
    for seed in range(300):
        it = InProcess(World(WorldOptions(seed=seed)))
        assert it.ask("GET", "/v1/models/claude-sonnet-5").status == 200


def test_somebody_else_cancels_a_batch() -> None:
    it = provider()
    fault(it, f"POST {BATCHES}", "canceled_by_other", seconds=100)
    batch = create(it, 40)
    it.advance(99)
    assert it.ask("GET", f"{BATCHES}/{batch['id']}").json()["processing_status"] == "in_progress"
    it.advance(86_400)
    over = it.ask("GET", f"{BATCHES}/{batch['id']}").json()
    assert over["cancel_initiated_at"] == "2026-11-21T10:01:40.000000+00:00"
    assert over["request_counts"]["canceled"] > 20
