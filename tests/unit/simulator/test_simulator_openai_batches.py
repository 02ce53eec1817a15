"""The life of OpenAI's batches in process, and what other servers make of it."""

import json
from collections import Counter
from typing import Any

import pytest

from lowtide_simulator.faults import ConnectionCut
from lowtide_simulator.in_process import OPENAI_HEADERS, InProcess
from lowtide_simulator.openai.limits import ModelLimits, OpenAILimits
from lowtide_simulator.openai.profiles import PROFILES
from lowtide_simulator.openai.provider import OpenAIOptions
from lowtide_simulator.world import Turnaround, World, WorldOptions

CHAT = "/v1/chat/completions"
DAY = 86_400


def provider(profile: str = "openai", limits: OpenAILimits | None = None, **options: Any) -> InProcess:
    openai = OpenAIOptions(
        profile=PROFILES[profile], limits=limits or OpenAILimits(), validation_seconds=(10, 10), finalizing_seconds=5
    )
    chosen = {"turnaround": Turnaround.parse("600"), **options}
    return InProcess(World(WorldOptions(openai=openai, **chosen)), OPENAI_HEADERS)


def row(number: int = 0, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = {
        "model": "gpt-6-luna",
        "max_completion_tokens": 40,
        "messages": [{"role": "user", "content": f"Say {number}"}],
    }
    return {"custom_id": f"i{number}", "method": "POST", "url": url, "body": {**asked, **body}}


def rows(count: int, **body: Any) -> list[dict[str, Any]]:
    return [row(number, **body) for number in range(count)]


def base(it: InProcess) -> str:
    return it.world.openai.profile.base_path


def create(it: InProcess, lines: list[Any], endpoint: str = CHAT, purpose: str = "batch", **more: Any) -> str:
    raw = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()
    uploaded = it.upload(raw, purpose=purpose).json()
    body = {"input_file_id": uploaded["id"], "endpoint": endpoint, "completion_window": "24h", **more}
    answer = it.ask("POST", base(it) + "/batches", body)
    assert answer.status == 200, answer.body
    made = answer.json()
    return str(made["job"]["id"] if "job" in made else made["id"])


def get(it: InProcess, name: str) -> dict[str, Any]:
    return dict(it.ask("GET", f"{base(it)}/batches/{name}").json())


def content(it: InProcess, name: str) -> list[dict[str, Any]]:
    answer = it.ask("GET", f"{base(it)}/files/{name}/content")
    assert answer.status == 200, answer.body
    return answer.lines()


def fault(it: InProcess, on: str, kind: str, **fields: Any) -> None:
    assert it.ask("POST", "/_simulator/faults", {"on": on, "fault": kind, "times": 1, **fields}).status == 200


def test_a_batch_goes_through_its_states_at_their_times() -> None:
    it = provider()
    name = create(it, rows(20))
    seen = []
    for _ in range(620):
        batch = get(it, name)
        if not seen or seen[-1] != batch["status"]:
            seen.append(batch["status"])
        it.advance(1)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    times = [batch[f"{state}_at"] - batch["created_at"] for state in ("in_progress", "finalizing", "completed")]
    assert times == [10, 610, 615]
    assert batch["expires_at"] - batch["created_at"] == DAY
    assert batch["request_counts"] == {"total": 20, "completed": 20, "failed": 0}
    assert batch["error_file_id"] is None
    assert batch["model"] == "gpt-6-luna"


def test_counts_grow_and_failures_count_as_failed() -> None:
    it = provider()
    name = create(it, [*rows(30), row(99, temperature=7)])
    counts = []
    for _ in range(13):
        it.advance(50)
        counts.append(tuple(get(it, name)["request_counts"].values()))
    assert counts == sorted(counts)
    assert len(set(counts)) > 5
    assert counts[-1] == (31, 30, 1)


def test_the_output_is_shuffled_repeatable_and_sums_to_the_batch_and_the_bill() -> None:
    it = provider()
    name = create(it, rows(200), metadata={"token": "t1"})
    it.advance(DAY)
    batch = get(it, name)
    first, second = (content(it, batch["output_file_id"]) for _ in range(2))
    assert first == second
    ids = [line["custom_id"] for line in first]
    assert sorted(ids) == sorted(f"i{n}" for n in range(200))
    assert ids != [f"i{n}" for n in range(200)]
    usages = [line["response"]["body"]["usage"] for line in first]
    assert batch["usage"]["input_tokens"] == sum(usage["prompt_tokens"] for usage in usages)
    assert batch["usage"]["output_tokens"] == sum(usage["completion_tokens"] for usage in usages)
    assert "cache_write_tokens" not in batch["usage"]["input_tokens_details"]
    bill = it.ask("GET", "/_simulator/bill/lines").lines()
    assert sum(line["usage"]["total_tokens"] for line in bill) == batch["usage"]["total_tokens"]
    assert {(line["provider"], line["lane"], line["batch_id"], line["metadata"]["token"]) for line in bill} == {
        ("openai", "batch", name, "t1")
    }
    prompt, output = batch["usage"]["input_tokens"], batch["usage"]["output_tokens"]
    assert it.ask("GET", "/_simulator/bill").json()["nanos"] == prompt * 50 + output * 250


def test_the_answer_of_a_batch_is_the_one_of_a_call_and_costs_half() -> None:
    it = provider()
    name = create(it, rows(1))
    it.advance(DAY)
    (line,) = content(it, get(it, name)["output_file_id"])
    called = it.ask("POST", CHAT, row()["body"]).json()
    assert line["response"]["body"]["choices"] == called["choices"]
    batch, call = it.ask("GET", "/_simulator/bill/lines").lines()
    assert (batch["prompt_digest"], 2 * batch["nanos"]) == (call["prompt_digest"], call["nanos"])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ("empty_file", None, None)),
        (["", "  "], ("empty_file", None, None)),
        ([row(), "{oops"], ("invalid_json_line", 2, None)),
        (["", row(), "[1]"], ("invalid_json_line", 3, None)),
        ([{k: v for k, v in row().items() if k != "custom_id"}], ("missing_required_parameter", 1, "custom_id")),
        ([{**row(), "body": "x"}], ("invalid_type", 1, "body")),
        ([{**row(), "colour": 1}], ("unknown_parameter", 1, "colour")),
        ([{**row(), "method": "GET"}], ("invalid_method", 1, "method")),
        ([row(url="/v1/responses")], ("url_mismatch", 1, "url")),
        ([row(), row()], ("duplicate_custom_id", 2, "custom_id")),
        ([row(0), row(1, model="gpt-6-sol")], ("mismatched_model", 2, "body.model")),
        ([row(model="gpt-7")], ("model_not_found", 1, "body.model")),
        ([row(model="gpt-4-turbo")], ("model_not_found", 1, "body.model")),
        ([{**row(), "body": {"model": "gpt-6-luna"}}], ("missing_required_parameter", 1, "body.messages")),
    ],
)
def test_what_fails_a_whole_batch(lines: list[Any], expected: tuple[str, int | None, str | None]) -> None:
    it = provider()
    name = create(it, lines or ["\n"])
    assert get(it, name)["status"] == "validating"
    it.advance(11)
    batch = get(it, name)
    assert batch["status"] == "failed"
    error = batch["errors"]["data"][0]
    assert (error["code"], error["line"], error["param"]) == expected
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    it.advance(2 * DAY)
    assert get(it, name)["status"] == "failed"
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 0


def test_the_first_twenty_bad_lines_are_named() -> None:
    it = provider()
    name = create(it, [row(0)] + ["bad"] * 50)
    it.advance(11)
    assert [error["line"] for error in get(it, name)["errors"]["data"]] == list(range(2, 22))


def test_too_many_lines() -> None:
    it = provider()
    it.world.openai.profile = PROFILES["openai"].__class__(name="few", batch_requests_max=3)
    name = create(it, rows(4))
    it.advance(11)
    assert get(it, name)["errors"]["data"][0]["code"] == "too_many_tasks"


def test_a_missing_file_is_noticed_after_a_quarter_of_an_hour_and_one_deleted_in_time_at_once() -> None:
    it = provider()
    body = {"input_file_id": "file-nowhere", "endpoint": CHAT, "completion_window": "24h"}
    name = it.ask("POST", "/v1/batches", body).json()["id"]
    it.advance(899)
    assert get(it, name)["status"] == "validating"
    it.advance(1)
    assert get(it, name)["errors"]["data"][0]["code"] == "invalid_request"
    going = create(it, rows(2))
    it.advance(11)
    for file in it.ask("GET", "/v1/files").json()["data"]:
        it.ask("DELETE", f"/v1/files/{file['id']}")
    it.advance(DAY)
    assert len(content(it, get(it, going)["output_file_id"])) == 2, "a batch that reads its file goes on"


def test_the_queue_of_tokens_is_per_model_and_empties_as_batches_end() -> None:
    limit = ModelLimits(batch_queue_tokens=200)
    it = provider(limits=OpenAILimits(models={"gpt-6-luna": limit}))
    first, second = create(it, rows(20)), create(it, rows(20))
    other = create(it, rows(20, model="gpt-6-sol"))
    it.advance(11)
    assert [get(it, name)["status"] for name in (first, second, other)] == ["in_progress", "failed", "in_progress"]
    (error,) = get(it, second)["errors"]["data"]
    assert error["code"] == "token_limit_exceeded"
    assert "Enqueued token limit reached for gpt-6-luna" in error["message"]
    assert it.ask("GET", "/_simulator/state").json()["openai"]["queued_tokens"]["gpt-6-luna"] <= 200
    it.advance(DAY)
    third = create(it, rows(20))
    it.advance(DAY // 2)
    assert get(it, third)["status"] == "completed"


def test_expired_and_cancelled_batches_keep_and_bill_what_was_done() -> None:
    it = provider(turnaround=Turnaround.parse("36000"), cancel_finish_share=0.0)
    name = create(it, rows(100))
    it.advance(18_000)
    done = get(it, name)["request_counts"]["completed"]
    assert 20 < done < 80
    assert it.ask("POST", f"/v1/batches/{name}/cancel").json()["status"] == "cancelling"
    assert it.ask("POST", f"/v1/batches/{name}/cancel").status == 200, "again changes nothing"
    it.advance(600)
    batch = get(it, name)
    assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", done)
    assert len(content(it, batch["output_file_id"])) == done
    assert Counter(line["error"]["code"] for line in content(it, batch["error_file_id"])) == {
        "batch_cancelled": 100 - done
    }
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == done
    assert it.ask("POST", f"/v1/batches/{name}/cancel").status == 409


def test_what_is_in_flight_is_drained_when_a_batch_is_cancelled() -> None:
    it = provider(turnaround=Turnaround.parse("36000"), cancel_finish_share=0.5)
    name = create(it, rows(100))
    it.advance(11)
    it.ask("POST", f"/v1/batches/{name}/cancel")
    it.advance(600)
    assert 30 < get(it, name)["request_counts"]["completed"] < 70


def test_a_batch_cancelled_while_it_is_validated_has_nothing() -> None:
    it = provider()
    name = create(it, rows(3))
    it.ask("POST", f"/v1/batches/{name}/cancel")
    it.advance(DAY)
    batch = get(it, name)
    assert (batch["status"], batch["output_file_id"], batch["error_file_id"]) == ("cancelled", None, None)


def test_somebody_else_cancels_and_a_long_jump_of_the_clock_changes_nothing_about_it() -> None:
    it = provider()
    fault(it, "POST /v1/batches", "canceled_by_other", seconds=40)
    name = create(it, rows(10))
    it.advance(DAY)
    batch = get(it, name)
    assert batch["status"] == "cancelled"
    assert batch["completed_at"] is None
    assert batch["cancelling_at"] - batch["created_at"] == 40


def test_files_of_results_go_after_their_time_counted_from_when_they_were_made() -> None:
    it = provider()
    usual = create(it, rows(1))
    short = create(it, rows(1), output_expires_after={"anchor": "created_at", "seconds": 3_600})
    it.advance(1_000)
    files = [get(it, name)["output_file_id"] for name in (usual, short)]
    assert [it.ask("GET", f"/v1/files/{name}").status for name in files] == [200, 200]
    it.advance(3_600)
    assert [it.ask("GET", f"/v1/files/{name}").status for name in files] == [200, 404]
    it.advance(30 * DAY)
    assert it.ask("GET", f"/v1/files/{files[0]}/content").status == 404


def test_line_errors_of_both_shapes_and_their_statuses() -> None:
    it = provider()
    for status, index in ((429, 0), (500, 1)):
        fault(it, "POST /v1/batches", "items_errored", indexes=[index], status=status)
    fault(it, "POST /v1/batches", "items_expired", indexes=[2])
    name = create(it, [*rows(5), row(9, colour="red")])
    it.advance(DAY + 1)
    batch = get(it, name)
    assert batch["status"] == "expired"
    lines = {line["custom_id"]: line for line in content(it, batch["error_file_id"])}
    assert {key: line["response"] and line["response"]["status_code"] for key, line in lines.items()} == {
        "i0": 429, "i1": 500, "i2": None, "i9": 400
    }  # fmt: skip
    assert lines["i0"]["response"]["body"]["error"]["code"] == "rate_limit_exceeded"
    assert lines["i0"]["error"] is None
    assert lines["i2"]["error"]["code"] == "batch_expired"
    assert len(content(it, batch["output_file_id"])) == 2


def test_a_late_twin_and_a_lost_create() -> None:
    it = provider()
    fault(it, "POST /v1/batches", "delay", seconds=100)
    with pytest.raises(ConnectionCut):
        create(it, rows(1), metadata={"token": "late"})
    assert it.ask("GET", "/v1/batches").json()["data"] == []
    it.advance(101)
    (twin,) = it.ask("GET", "/v1/batches").json()["data"]
    assert twin["metadata"] == {"token": "late"}
    fault(it, "POST /v1/batches", "lost_reply_after_commit")
    with pytest.raises(ConnectionCut):
        create(it, rows(1))
    assert len(it.ask("GET", "/v1/batches").json()["data"]) == 2


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": 3}, "input_file_id"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a"),
        ({"metadata": {"x" * 65: ""}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after.seconds"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_create_refuses_only_what_the_body_itself_shows(change: dict[str, Any], param: str) -> None:
    it = provider()
    body = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", **change}
    answer = it.ask("POST", "/v1/batches", body)
    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_caches_of_batches_are_their_own_and_cached_tokens_cost_what_the_generation_says() -> None:
    it = provider()
    system = {"role": "system", "content": "The harbour rules. " * 400}
    messages = [system, {"role": "user", "content": "One"}]
    for model, share in (("gpt-5-mini", 10), ("gpt-4.1", 1)):
        limit = {"max_completion_tokens": 16}
        name = create(it, [row(n, model=model, messages=messages, **limit) for n in range(3)])
        it.advance(DAY)
        lines = content(it, get(it, name)["output_file_id"])
        cached = sorted(line["response"]["body"]["usage"]["prompt_tokens_details"]["cached_tokens"] for line in lines)
        assert cached[0] == 0
        assert cached[2] >= 1_024, "they see each other in the order in which they ran"
        by = {r["kind"]: r for r in it.ask("GET", "/_simulator/bill").json()["by"] if r["model"] == model}
        rates = {kind: r["numerator"] / r["denominator"] / r["tokens"] for kind, r in by.items()}
        assert rates["input"] / rates["cached"] == pytest.approx(share)
    assert it.world.openai.realtime_cache.entries == {}


# ------------------------------------------------------------------ other servers


def test_azure_has_its_own_base_never_expires_and_leaves_an_empty_error_file() -> None:
    it = provider("azure", turnaround=Turnaround.parse("200000"))
    name = create(it, [row(0, url="/chat/completions", model="my-deployment")], "/chat/completions")
    it.advance(DAY + 100)
    batch = get(it, name)
    assert batch["status"] == "in_progress"
    assert batch["request_counts"] == {"total": 1, "completed": None, "failed": None}
    it.advance(2 * DAY)
    batch = get(it, name)
    assert batch["status"] == "completed"
    assert it.ask("GET", f"/openai/v1/files/{batch['error_file_id']}").json()["bytes"] == 0
    assert it.ask("GET", f"/openai/v1/files/{batch['error_file_id']}/content").body == b""
    assert it.ask("GET", f"/v1/batches/{name}").status == 404, "not under /v1"
    bom = "\ufeff" + json.dumps(row(0, url="/chat/completions"))
    refused = create(it, [bom], "/chat/completions")
    it.advance(11)
    assert get(it, refused)["errors"]["data"][0]["line"] == 1


def test_together_speaks_of_jobs_in_capitals() -> None:
    it = provider("together")
    name = create(it, rows(10), purpose="batch-api", completion_window="24h")
    states = []
    for _ in range(70):
        batch = get(it, name)
        states.append((batch["status"], batch["progress"]))
        it.advance(10)
    assert list(dict.fromkeys(status for status, _ in states)) == ["VALIDATING", "IN_PROGRESS", "COMPLETED"]
    assert [progress for _, progress in states] == sorted(progress for _, progress in states)
    assert states[-1][1] == 100.0
    assert "request_counts" not in batch
    assert batch["created_at"].startswith("2026-11-21T10:00:00")
    (line, *_) = content(it, batch["output_file_id"])
    assert set(line["response"]["body"]["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert it.ask("POST", "/v1/responses", {"model": "x", "input": "y"}).status == 404
    assert isinstance(it.ask("GET", "/v1/batches").json(), list)


def test_groq_has_longer_windows_a_base_of_its_own_and_498_for_flex() -> None:
    it = provider("groq", turnaround=Turnaround.parse("200000"))
    name = create(it, rows(1, model="llama-x"), completion_window="7d")
    it.advance(5 * DAY)
    assert get(it, name)["status"] == "completed"
    fault(it, "POST /v1/chat/completions", "flex_unavailable")
    asked = {**row()["body"], "service_tier": "flex"}
    answer = it.ask("POST", "/openai/v1/chat/completions", asked)
    assert (answer.status, answer.json()["error"]["code"]) == (498, "capacity_exceeded")


def test_a_loose_server_takes_anything_and_says_little() -> None:
    it = provider("loose")
    body = {
        "model": "tiny",
        "colour": "red",
        "max_tokens": 9,
        "temperature": 0.3,
        "messages": row()["body"]["messages"],
    }
    answer = it.ask("POST", CHAT, body, {"content-type": None})
    assert answer.status == 200
    assert answer.json()["model"] == "tiny"
    assert it.ask("GET", "/_simulator/bill/lines").lines()[0]["model"] == "tiny"
    assert "service_tier" not in answer.json()
    assert not any(name.startswith("x-ratelimit") for name in answer.headers)
    assert set(answer.json()["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_what_would_have_finished_after_the_cancel_did_not() -> None:
    it = provider(cancel_seconds=600.0, cancel_finish_share=0.0)
    name = create(it, rows(100))
    it.advance(300)
    done = get(it, name)["request_counts"]["completed"]
    it.ask("POST", f"/v1/batches/{name}/cancel")
    it.advance(590)
    assert get(it, name)["status"] == "cancelling"
    it.advance(20)
    batch = get(it, name)
    assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", done)
    assert 20 < done < 80


def test_failures_show_in_the_counts_as_they_come() -> None:
    it = provider()
    name = create(it, [row(number, temperature=7) for number in range(40)])
    it.advance(310)
    counts = get(it, name)["request_counts"]
    assert counts["completed"] == 0
    assert 5 < counts["failed"] < 35


def test_a_stuck_batch_expires_with_an_error_file_only_and_costs_nothing() -> None:
    it = provider()
    fault(it, "POST /v1/batches", "stuck")
    name = create(it, rows(3))
    it.advance(DAY - 1)
    assert get(it, name)["request_counts"] == {"total": 3, "completed": 0, "failed": 0}
    it.advance(2)
    batch = get(it, name)
    assert (batch["status"], batch["output_file_id"]) == ("expired", None)
    assert [line["error"]["code"] for line in content(it, batch["error_file_id"])] == ["batch_expired"] * 3
    assert it.ask("GET", "/_simulator/bill").json()["lines"] == 0


def test_completed_with_only_an_error_file() -> None:
    it = provider()
    name = create(it, rows(2, temperature=7))
    it.advance(DAY // 2)
    batch = get(it, name)
    assert (batch["status"], batch["output_file_id"]) == ("completed", None)
    assert {line["response"]["status_code"] for line in content(it, batch["error_file_id"])} == {400}
