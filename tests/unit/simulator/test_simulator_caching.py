"""The two prompt caches, as they were measured."""

from typing import Any

import pytest

from lowtide_simulator.caching import CacheStore, Served, cuts_of
from lowtide_simulator.clock import SECOND, Instant, parse_instant
from lowtide_simulator.in_process import InProcess
from lowtide_simulator.models import BY_NAME
from lowtide_simulator.tokens import request_tokens
from lowtide_simulator.world import Turnaround, World, WorldOptions

MODEL = BY_NAME["claude-sonnet-5"]
START = parse_instant("2026-11-21T10:00:00Z")
LONG = "The harbour rules are these. " * 400


def marked(text: str, ttl: str = "5m") -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}


def body(
    question: str = "Why?", *, system: str = LONG, ttl: str = "5m", model: str = "claude-sonnet-5"
) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 20,
        "system": [marked(system, ttl)],
        "messages": [{"role": "user", "content": question}],
    }


def after(seconds: float) -> Instant:
    return Instant(START + int(seconds * SECOND))


class Store:
    """A store with one way to use it: look up, then write."""

    def __init__(self) -> None:
        self.store = CacheStore()

    def use(self, params: dict[str, Any], at: float = 0) -> Served:
        cuts = cuts_of(params, MODEL)
        served = self.store.look_up(cuts, MODEL, after(at))
        self.store.write(cuts, MODEL, after(at))
        return served


def test_the_first_writes_and_the_second_reads_the_same_tokens() -> None:
    store = Store()
    first, second = store.use(body("Why?")), store.use(body("How?"), 1)
    assert first.write_5m > MODEL.cache_prefix_tokens_min
    assert (first.read, second.read, second.write_5m) == (0, first.write_5m, 0)
    assert first.write_5m < request_tokens(body("Why?"), MODEL)


def test_a_lifetime_ends_and_a_hit_begins_it_anew() -> None:
    store = Store()
    store.use(body())
    assert store.use(body(), 299).read
    assert store.use(body(), 299 + 299).read, "refreshed by the hit"
    assert not store.use(body(), 299 + 299 + 300).read


def test_an_hour_lasts_an_hour_and_is_counted_apart() -> None:
    store = Store()
    assert store.use(body(ttl="1h")).write_1h
    assert store.use(body(ttl="1h"), 3_599).read
    assert not store.use(body(ttl="1h"), 3_599 + 3_600).read


def test_a_short_prefix_is_silently_not_cached() -> None:
    store = Store()
    assert store.use(body(system="Be brief.")) == Served()
    assert store.use(body(system="Be brief."), 1) == Served()


def test_a_changed_prefix_is_another_prefix() -> None:
    store = Store()
    store.use(body())
    assert not store.use(body(system=LONG + "!"), 1).read
    assert not store.use({**body(), "tools": [{"name": "t", "input_schema": {}}]}, 1).read
    config = {"format": {"type": "json_schema", "schema": {"type": "string"}}}
    assert not store.use({**body(), "output_config": config}, 1).read


def test_thinking_effort_and_tool_choice_change_the_messages_but_not_what_stands_before_them() -> None:
    long = body(LONG * 2)
    long["messages"][0]["content"] = [marked(LONG * 2)]
    for change in (
        {"thinking": {"type": "adaptive"}},
        {"output_config": {"effort": "low"}},
        {"tool_choice": {"type": "none"}},
    ):
        store = Store()
        whole = store.use(long).write_5m
        again = store.use({**long, **change}, 1)
        assert 0 < again.read < whole
        assert again.write_5m > 0
        assert store.use({**long, **change}, 2).write_5m == 0


def test_an_earlier_cut_is_found_up_to_twenty_blocks_back() -> None:
    def conversation(blocks: int) -> dict[str, Any]:
        texts = [{"type": "text", "text": f"{number} {LONG}"} for number in range(blocks)]
        texts[-1] = marked(texts[-1]["text"])
        return {"model": "claude-sonnet-5", "max_tokens": 1, "messages": [{"role": "user", "content": texts}]}

    store = Store()
    written = store.use(conversation(5)).write_5m
    near = store.use(conversation(20), 1)
    assert near.read == written
    assert near.write_5m > 0
    assert Store().use(conversation(5)).read == 0
    fresh = Store()
    fresh.use(conversation(5))
    assert fresh.use(conversation(30), 1).read == 0, "more than twenty blocks back"


def test_automatic_caching_marks_the_last_block() -> None:
    store = Store()
    params = {**body(), "cache_control": {"type": "ephemeral"}}
    del params["system"][0]["cache_control"]
    params["messages"][0]["content"] = LONG
    assert store.use(params).write_5m
    assert store.use(params, 1).read


def usage(provider: InProcess, params: dict[str, Any]) -> dict[str, Any]:
    return provider.ask("POST", "/v1/messages", params).json()["usage"]


def batch(provider: InProcess, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a batch to its end; the usages in the order of the requests."""
    requests = [{"custom_id": str(number), "params": params} for number, params in enumerate(bodies)]
    made = provider.ask("POST", "/v1/messages/batches", {"requests": requests}).json()
    ends = provider.world.batches[made["id"]].due
    provider.world.advance_to(ends)
    lines = provider.ask("GET", f"/v1/messages/batches/{made['id']}/results").lines()
    return [line["result"]["message"]["usage"] for line in sorted(lines, key=lambda line: int(line["custom_id"]))]


def test_a_synchronous_write_cannot_be_read_by_a_batch_and_the_other_way_round() -> None:
    provider = InProcess()
    assert usage(provider, body(ttl="1h"))["cache_creation_input_tokens"]
    (cold,) = batch(provider, body(ttl="1h"))
    assert cold["cache_read_input_tokens"] == 0
    assert cold["cache_creation"]["ephemeral_1h_input_tokens"] > 0
    other = InProcess()
    batch(other, body(ttl="1h"))
    assert usage(other, body(ttl="1h"))["cache_read_input_tokens"] == 0


def test_a_cold_batch_reads_nothing_of_its_own() -> None:
    usages = batch(InProcess(), *(body(f"Question {number}") for number in range(30)))
    assert all(one["cache_read_input_tokens"] == 0 and one["cache_creation_input_tokens"] > 0 for one in usages)


def test_a_batch_that_runs_beside_another_reads_nothing_of_it() -> None:
    provider = InProcess(World(WorldOptions(turnaround=Turnaround.parse("600"))))
    made = []
    for number in range(2):
        requests = [{"custom_id": str(n), "params": body(f"{number} {n}", ttl="1h")} for n in range(20)]
        made.append(provider.ask("POST", "/v1/messages/batches", {"requests": requests}).json()["id"])
        provider.advance(1)
    provider.advance(600)
    lines = provider.ask("GET", f"/v1/messages/batches/{made[1]}/results").lines()
    reads = [line["result"]["message"]["usage"]["cache_read_input_tokens"] for line in lines]
    assert reads == [0] * 20, "all of them finished before the first batch had ended"


def test_a_hit_on_an_earlier_cut_keeps_that_cut_alive() -> None:
    def conversation(blocks: int) -> dict[str, Any]:
        texts = [{"type": "text", "text": f"{number} {LONG}"} for number in range(blocks)]
        texts[-1] = marked(texts[-1]["text"])
        return {"model": "claude-sonnet-5", "max_tokens": 1, "messages": [{"role": "user", "content": texts}]}

    store = Store()
    first = store.use(conversation(2)).write_5m
    assert store.use(conversation(4), 299).read == first
    assert store.use(conversation(2), 598).read == first


def test_after_a_batch_of_one_the_rest_read_everything() -> None:
    provider = InProcess()
    batch(provider, body("first", ttl="1h"))
    usages = batch(provider, *(body(f"Question {number}", ttl="1h") for number in range(30)))
    assert all(one["cache_read_input_tokens"] > 0 and one["cache_creation_input_tokens"] == 0 for one in usages)


def test_five_marks_are_refused_and_the_longer_lifetime_comes_first() -> None:
    provider = InProcess()
    five = {**body(), "system": [marked(f"{number}") for number in range(5)]}
    refused = provider.ask("POST", "/v1/messages", five)
    assert (refused.status, refused.json()["error"]["message"]) == (
        400, "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    )  # fmt: skip
    mixed = {**body(), "system": [marked("a", "5m"), marked("b", "1h")]}
    assert "must not come after" in provider.ask("POST", "/v1/messages", mixed).json()["error"]["message"]


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("claude-opus-4-6", 4_096),
        ("claude-haiku-4-5", 4_096),
        ("claude-opus-4-7", 2_048),
        ("claude-opus-4-8", 1_024),
        ("claude-opus-5", 512),
    ],
)
def test_the_least_prefix_of_each_model(model: str, least: int) -> None:
    assert BY_NAME[model].cache_prefix_tokens_min == least
