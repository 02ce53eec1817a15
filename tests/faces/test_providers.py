"""Several providers as people and programs see them: who is asked, what is in force, what a wrong table is told."""

import json

import pytest

PRICES = """
[[model]]
provider = "here"
name = "gpt-5.4-mini"
launched_on = 2026-01-01
context_tokens = 128000
output_tokens_max = 2000
source = "the machine under my desk"
checked_on = 2026-11-22
"""
PRICE = """
[[price]]
provider = "here"
model = "gpt-5.4-mini"
lane = "{lane}"
effective_from = 2026-01-01
input = 0.50
cache_read = 0.05
output = 2.00
source = "the machine under my desk"
recorded_on = 2026-11-22
checked_on = 2026-11-22
"""
TABLE = '[providers.here]\nprofile = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
WORDS = ("people.csv", "--template", "letter.j2", "--key-column", "id", "--model", "gpt-5.4-mini")


@pytest.fixture
def sold_twice(desk):
    """A desk where two providers sell one model, and a table to ask for."""
    desk.write("lowtide.toml", f'prices = "here.toml"\n{TABLE}')
    desk.write("here.toml", PRICES + PRICE.format(lane="realtime") + PRICE.format(lane="batch"))
    desk.write("people.csv", "id,name\n1,Anna\n2,Bo\n")
    desk.write("letter.j2", "---\nmax_output_tokens: 100\n---\nWrite to {{ name }}.\n")
    return desk


def test_the_one_that_is_named_is_asked(sold_twice) -> None:
    desk = sold_twice
    first, named = (desk("plan", *WORDS, *words, "--json").objects[0] for words in ([], ["--provider", "here"]))
    assert (first["provider"], named["provider"]) == ("openai", "here")
    assert float(named["cost"]["likely"]) < float(first["cost"]["likely"])
    assert desk("run", str(named["plan"]), "--yes", "-q").code == 0
    (run,) = desk("status", desk.run_id(), "--json").objects
    assert (run["providers"], run["requests"]["answered"]) == (["here"], 2)
    said = desk("prices", "gpt-5.4-mini").out
    assert "here gpt-5.4-mini, real time" in said
    assert "openai gpt-5.4-mini, fast" in said


def test_lines_of_another_wire_are_not_asked_of_it(sold_twice) -> None:
    refused = sold_twice("plan", sold_twice.requests(2), "--provider", "here")
    assert refused.code == 1
    assert "requests.jsonl:1: here has no messages endpoint" in refused.err
    unknown = sold_twice("plan", *WORDS, "--provider", "there")
    assert (unknown.code, unknown.out) == (1, "")
    assert "no provider is called 'there'" in unknown.err
    assert "there are anthropic, openai, here" in unknown.err


def test_openais_lines_may_be_asked_of_a_server_that_speaks_like_it(sold_twice) -> None:
    body = {"model": "gpt-5.4-mini", "max_completion_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    sold_twice.write("lines.jsonl", json.dumps(line) + "\n")
    (plan,) = sold_twice("plan", "lines.jsonl", "--provider", "here", "--json").objects
    assert plan["provider"] == "here"


def test_settings_show_every_table_with_its_file_and_no_key(empty_desk) -> None:
    empty_desk.write(
        "lowtide.toml",
        '[providers.here]\nbase_url = "http://me:hush@127.0.0.1:9/v1"\nrequests_per_minute = 7\n[providers.openai]\ntier = "3"\n',
    )
    told = {
        each["name"]: each
        for each in empty_desk("config", "show", "--json").objects[0]["settings"]  # type: ignore[attr-defined]
    }
    here = {word: told[f"providers.here.{word}"] for word in ("protocol", "profile", "base_url", "requests_per_minute")}
    assert {word: each["value"] for word, each in here.items()} == {
        "protocol": "openai",
        "profile": "compatible",
        "base_url": "http://me:***@127.0.0.1:9/v1",
        "requests_per_minute": 7,
    }
    assert here["profile"]["origin"] == "default"
    assert here["base_url"]["origin"].endswith("lowtide.toml")
    assert told["providers.openai.tier"]["value"] == "3"
    assert "providers.openai.base_url" not in told, "a setting already"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[providers.my]\nprotocol = "smoke"\n', "protocol must be one of anthropic, openai, not 'smoke'"),
        (
            '[providers.my]\nprofile = "smoke"\n',
            "profile must be one of openai, azure, groq, together, compatible, not 'smoke'",
        ),
        (
            '[providers.my]\nprotocol = "anthropic"\nprofile = "azure"\n',
            "profile must be one of anthropic, not 'azure'",
        ),
        ("[providers.my]\n", "[providers.my]: base_url is missing"),
        ('[providers.azure]\napi_key = "env:A"\n', "[providers.azure]: base_url is missing"),
        ('[providers.openai]\nprotocol = "anthropic"\n', "openai speaks openai"),
    ],
)
def test_a_wrong_table_is_told_with_the_choices(empty_desk, table: str, told: str) -> None:
    empty_desk.write("lowtide.toml", table)
    said = empty_desk("config", "show")
    assert (said.code, said.out) == (2, "")
    assert told in said.err


def test_a_name_that_is_a_profile_needs_nothing_more(empty_desk) -> None:
    empty_desk.write("lowtide.toml", '[providers.groq]\napi_key = "env:GROQ_API_KEY"\n')
    assert "providers.groq.profile" in empty_desk("config", "show").out
