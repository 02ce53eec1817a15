"""OpenAI's prompt caches."""

from typing import Any

import pytest

from lowtide_simulator.clock import SECOND, Instant
from lowtide_simulator.in_process import OPENAI_HEADERS, InProcess
from lowtide_simulator.openai.caching import CacheStore, Served, cuts_of
from lowtide_simulator.openai.models import BY_NAME
from lowtide_simulator.openai.tokens import chat_parts, total

NOW = Instant(1_000 * SECOND)
OLD, NEW = "gpt-5-mini", "gpt-6-luna"
RULES = "The harbour rules. " * 400


def later(seconds: float) -> Instant:
    return Instant(NOW + int(seconds * SECOND))


def body(model: str, question: str, *, mark: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "text", "text": RULES}
    if mark is not None:
        part["prompt_cache_breakpoint"] = {"mode": "explicit", **mark}
    return {
        "model": model,
        "messages": [{"role": "system", "content": [part]}, {"role": "user", "content": question}],
        **more,
    }


def serve(store: CacheStore, asked: dict[str, Any], at: Instant = NOW) -> Served:
    model = BY_NAME[asked["model"]]
    parts = chat_parts(asked)
    return store.serve(cuts_of(asked, parts, total(parts), model), model, at)


def test_below_1024_tokens_nothing_is_cached() -> None:
    store = CacheStore()
    for model in (OLD, NEW):
        short = {"model": model, "messages": [{"role": "user", "content": "x" * 4_000}]}
        assert [serve(store, short) for _ in range(2)] == [Served(), Served()]


def test_before_5_6_blocks_of_128_are_read_and_writing_is_free() -> None:
    store = CacheStore()
    assert serve(store, body(OLD, "One")) == Served()
    second = serve(store, body(OLD, "Another, longer question"))
    assert second.cached % 128 == 0
    assert 1_024 <= second.cached <= len(RULES) / 4
    assert (second.write_30m, second.write_12h) == (0, 0)
    assert serve(store, body(OLD, "One"), later(1_300)) == Served(), "gone after ten minutes"


def test_implicit_mode_writes_the_whole_prompt_and_a_sibling_reads_nothing() -> None:
    store = CacheStore()
    first = serve(store, body(NEW, "One"))
    parts = chat_parts(body(NEW, "One"))
    assert first == Served(write_30m=total(parts) - 3), "recorded: 1,217 written of 1,220"
    assert serve(store, body(NEW, "One")) == Served(cached=first.write_30m)
    assert serve(store, body(NEW, "Two")).cached == 0


def test_an_explicit_breakpoint_is_written_once_and_read_by_siblings() -> None:
    store = CacheStore()
    options = {"prompt_cache_options": {"mode": "explicit"}}
    first = serve(store, body(NEW, "One", mark={}, **options))
    assert first.write_30m > 1_024
    assert serve(store, body(NEW, "Two", mark={}, **options)) == Served(cached=first.write_30m)
    assert serve(store, body(NEW, "Three", **options)) == Served(), "explicit without a breakpoint: no cache at all"


@pytest.mark.parametrize(("mark", "options"), [({"ttl": "12h"}, {}), ({}, {"ttl": "12h"})])
def test_twelve_hours(mark: dict[str, Any], options: dict[str, Any]) -> None:
    store = CacheStore()
    asked = body(NEW, "One", mark=mark, prompt_cache_options={"mode": "explicit", **options})
    assert serve(store, asked).write_12h > 1_024
    assert serve(store, asked, later(11 * 3600)).cached > 1_024
    plain = body(NEW, "One", mark={}, prompt_cache_options={"mode": "explicit"})
    other = CacheStore()
    assert serve(other, plain).write_30m > 1_024
    assert serve(other, plain, later(1_900)).cached == 0


def test_at_most_four_are_written_the_latest() -> None:
    def turn(number: int) -> dict[str, Any]:
        part = {"type": "text", "text": f"{number} {RULES}", "prompt_cache_breakpoint": {"mode": "explicit"}}
        return {"role": "user", "content": [part]}

    asked = {"model": NEW, "messages": [turn(number) for number in range(6)]}
    cuts = cuts_of(asked, chat_parts(asked), 99_999, BY_NAME[NEW])
    assert [cut.ttl for cut in cuts] == [None, None, None, "30m", "30m", "30m"], (
        "three and the implicit one, here the same"
    )
    explicit = {**asked, "prompt_cache_options": {"mode": "explicit"}}
    cuts = cuts_of(explicit, chat_parts(explicit), 99_999, BY_NAME[NEW])
    assert [cut.ttl for cut in cuts] == [None, None, "30m", "30m", "30m", "30m"]


def test_the_sixteenth_request_of_a_minute_goes_to_another_machine() -> None:
    store = CacheStore()
    served = [serve(store, body(NEW, "One")) for _ in range(17)]
    assert [found.cached > 0 for found in served] == [False] + [True] * 14 + [False, True]
    assert serve(store, body(NEW, "One"), later(70)).cached > 0, "the next minute begins with the first machine"
    assert serve(store, body(NEW, "One", prompt_cache_key="mine")).cached == 0


def test_nothing_is_read_before_it_was_written_whatever_the_order_of_asking() -> None:
    store = CacheStore()
    assert serve(store, body(NEW, "One"), later(100)).write_30m > 0
    assert serve(store, body(NEW, "One"), later(50)).cached == 0, "a batch that ends later may have run earlier"
    assert serve(store, body(NEW, "One"), later(60)).cached > 0


def test_what_has_expired_is_swept() -> None:
    store = CacheStore()
    serve(store, body(NEW, "One"))
    store.sweep(later(1_799))
    assert store.entries
    store.sweep(later(1_800))
    assert not store.entries


def test_a_conversation_reads_what_its_earlier_turn_wrote() -> None:
    store = CacheStore()
    first = serve(store, body(NEW, "One"))
    longer = body(NEW, "One")
    longer["messages"] += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And then?"}]
    second = serve(store, longer)
    assert second.cached == first.write_30m
    assert 0 < second.write_30m < 40


def test_older_models_take_neither_options_nor_breakpoints() -> None:
    it = InProcess(headers=OPENAI_HEADERS)
    for asked in (body(OLD, "x", mark={}), body(OLD, "x", prompt_cache_options={"mode": "explicit"})):
        answer = it.ask("POST", "/v1/chat/completions", asked)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "unsupported_parameter")
    refused = it.ask("POST", "/v1/chat/completions", body(NEW, "x", prompt_cache_options={"ttl": "12h"}))
    assert refused.status == 400, "chat completions know 30 minutes only"


def test_writes_are_billed_dearer_and_reads_cheaper() -> None:
    it = InProcess(headers=OPENAI_HEADERS)
    for _ in range(2):
        it.ask("POST", "/v1/chat/completions", body(NEW, "One", max_completion_tokens=5))
    first, second = it.ask("GET", "/_simulator/bill/lines").lines()
    written = first["usage"]["input_tokens_details"]["cache_write_tokens"]
    assert second["usage"]["input_tokens_details"]["cached_tokens"] == written
    difference = first["nanos"] - second["nanos"]
    assert difference == written * (125 - 10), "0.125 against 0.01 dollars a million"
