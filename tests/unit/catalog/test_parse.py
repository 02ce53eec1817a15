"""Price files: what is read, what is refused, who wins."""

from datetime import date
from decimal import Decimal

import pytest

from lowtide.catalog import Lane, LimitName, TokenKind
from lowtide.catalog.parse import parse
from lowtide.errors import PriceUnknown
from lowtide.usage import Usage

LIMIT = '[[limit]]\nprovider = "a"\nname = "body_bytes"\namount = 1\neffective_from = 2026-01-02\n'
MODEL = """
[[model]]
provider = "own"
name = "tide"
aliases = ["tide-latest"]
context_tokens = 1000
output_tokens_max = 100
"""
PRICE = """
[[price]]
provider = "own"
model = "tide"
lane = "batch"
effective_from = 2026-01-01
input = 1
output = 2.50
"""
DAY = date(2026, 6, 1)


def problems(*texts: str) -> list[str]:
    _, found = parse({f"f{number}.toml": text.encode() for number, text in enumerate(texts)})
    return [str(problem) for problem in found]


def test_an_own_model_with_an_own_price() -> None:
    catalog, found = parse({"own.toml": (MODEL + PRICE).encode()})
    assert found == ()
    sheet = catalog.sheet("own", "tide-latest", Lane.BATCH, DAY)
    assert {row.kind: row.dollars_per_million for row in sheet.rows} == {
        TokenKind.INPUT: Decimal(1),
        TokenKind.OUTPUT: Decimal("2.50"),
    }
    assert {(row.source, row.file) for row in sheet.rows} == {("own.toml", "own.toml")}
    with pytest.raises(PriceUnknown, match="on the realtime lane"):
        catalog.sheet("own", "tide", Lane.REALTIME, DAY)
    with pytest.raises(PriceUnknown, match="on the batch lane on 2025-12-31"):
        catalog.sheet("own", "tide", Lane.BATCH, date(2025, 12, 31))


def test_prices_never_pass_through_a_float() -> None:
    catalog, _ = parse({"f": (MODEL + PRICE.replace("2.50", "0.1000000000000000055511151231257827")).encode()})
    prices = {row.kind: row.dollars_per_million for row in catalog.prices}
    assert prices[TokenKind.OUTPUT] == Decimal("0.1000000000000000055511151231257827")


def test_a_later_file_wins_for_its_days_and_says_so() -> None:
    discount = """
[[price]]
provider = "own"
model = "tide-latest"
lane = "batch"
effective_from = 2026-05-01
effective_to = 2026-07-01
input = 0.9
source = "our contract"
"""
    catalog, found = parse({"packaged": (MODEL + PRICE).encode(), "own": discount.encode()})
    assert found == ()

    def prices(day: date) -> dict[TokenKind, tuple[str, str]]:
        rows = catalog.sheet("own", "tide", Lane.BATCH, day).rows
        return {row.kind: (str(row.dollars_per_million), row.source) for row in rows}

    standard = {TokenKind.INPUT: ("1", "packaged"), TokenKind.OUTPUT: ("2.50", "packaged")}
    assert prices(date(2026, 4, 30)) == standard
    assert prices(DAY) == standard | {TokenKind.INPUT: ("0.9", "our contract")}
    assert prices(date(2026, 7, 1)) == standard


def test_a_later_file_replaces_a_model_whole() -> None:
    own = MODEL.replace("1000", "2000").replace('aliases = ["tide-latest"]\n', "")
    catalog, found = parse({"packaged": (MODEL + PRICE).encode(), "own": own.encode()})
    assert found == ()
    model = catalog.model("own", "tide")
    assert model is not None
    assert (model.context_tokens, model.file) == (2_000, "own")
    assert len(catalog.models) == 1


def test_a_later_file_may_give_an_alias_a_model_of_its_own() -> None:
    own = MODEL.replace('name = "tide"', 'name = "tide-latest"').replace('aliases = ["tide-latest"]\n', "")
    catalog, found = parse({"packaged": (MODEL + PRICE).encode(), "own": own.encode()})
    assert found == ()
    assert [model.name for model in catalog.models] == ["tide", "tide-latest"]
    with pytest.raises(PriceUnknown):
        catalog.sheet("own", "tide-latest", Lane.BATCH, DAY)


def test_a_server_of_ones_own_may_be_free_because_the_file_says_so() -> None:
    local = MODEL.replace('"own"', '"local"') + PRICE.replace('"own"', '"local"').replace('"batch"', '"realtime"')
    free = local.replace("input = 1", "input = 0").replace("output = 2.50", "output = 0")
    catalog, found = parse({"own.toml": free.encode()})
    assert found == ()
    assert catalog.lanes("local", "tide", DAY) == (Lane.REALTIME,)
    sheet = catalog.sheet("local", "tide", Lane.REALTIME, DAY)
    assert sheet.cost_nanos(Usage(input_tokens=10**9, output_tokens=10**9)) == 0
    assert sheet.ceiling_nanos(10**9, 10**9) == 0
    with pytest.raises(PriceUnknown, match="cache_read"):  # what the file does not say is not free
        sheet.cost_nanos(Usage(input_tokens=1, output_tokens=1, cache_read_tokens=1))
    with pytest.raises(PriceUnknown, match="on the batch lane"):
        catalog.sheet("local", "tide", Lane.BATCH, DAY)


@pytest.mark.parametrize("lane", list(Lane))
def test_any_lane_and_any_lifetime_of_a_cache_can_be_priced_by_a_user(lane: Lane) -> None:
    own = PRICE.replace('"batch"', f'"{lane}"') + "cache_write_30m = 1.25\ncache_write_12h = 2.5\ncache_read = 0.1\n"
    catalog, found = parse({"own.toml": (MODEL + own).encode()})
    assert found == ()
    assert catalog.lanes("own", "tide", DAY) == (lane,)
    model = catalog.model("own", "tide")
    assert model is not None
    assert (model.flex, model.windows) == (lane is Lane.FLEX, lane in (Lane.WINDOW_2H, Lane.WINDOW_8H))
    assert model.cache_write_priced


@pytest.mark.parametrize(("write", "priced"), [("1", False), ("1.01", True), ("0", False)])
def test_a_write_into_a_cache_is_priced_where_it_costs_more_than_plain_input(write: str, priced: bool) -> None:
    catalog, _ = parse({"own.toml": (MODEL + PRICE + f"cache_write_30m = {write}\n").encode()})
    assert [model.cache_write_priced for model in catalog.models] == [priced]


def test_a_price_that_is_open_bounds_ceilings_and_not_costs() -> None:
    open_price = PRICE + "at_most = { output = 4 }\n"
    catalog, found = parse({"own.toml": (MODEL + open_price).encode()})
    assert found == ()
    sheet = catalog.sheet("own", "tide", Lane.BATCH, DAY)
    assert {row.kind: row.at_most for row in sheet.rows} == {TokenKind.INPUT: None, TokenKind.OUTPUT: Decimal(4)}
    assert sheet.cost_nanos(Usage(input_tokens=1_000, output_tokens=1_000)) == 3_500_000
    assert sheet.likely_nanos(1_000, 1_000) == 3_500_000
    assert sheet.ceiling_nanos(1_000, 1_000) == 5_000_000


def test_a_limit_of_a_pool_comes_before_that_of_all_models() -> None:
    model = MODEL.replace('name = "tide"', 'name = "tide"\npool = "waters"')
    limit = LIMIT.replace('"a"', '"own"')
    pool = limit.replace("amount = 1", "amount = 2") + 'models = "waters"\n'
    catalog, found = parse({"own.toml": (model + pool + limit).encode()})
    assert found == ()
    assert catalog.limit_of("own", LimitName.BODY_BYTES, "tide-latest", DAY) == 2
    assert catalog.limit_of("own", LimitName.BODY_BYTES, "ebb", DAY) == 1


def test_limits_are_read_and_the_later_file_wins() -> None:
    limit = '[[limit]]\nprovider = "own"\nname = "batch_requests"\namount = 5\neffective_from = 2026-01-01\n'
    catalog, found = parse({"a": limit.encode(), "b": limit.replace("5", "7").encode()})
    assert found == ()
    assert [row.amount for row in catalog.limits] == [5, 7]
    assert catalog.limit("own", catalog.limits[0].name, DAY) == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MODEL + PRICE.replace("= 1\n", "= -1\n"),
            "f0.toml:9: price 1: input is -1\n  hint: write dollars per million",
        ),
        (MODEL + PRICE.replace("= 1\n", "= nan\n"), "f0.toml:9: price 1: input is NaN"),
        (MODEL + PRICE.replace("= 1\n", '= "1"\nx = 2\n'), "price 1: Object contains unknown field `x`"),
        (MODEL + PRICE.replace("batch", "overnight"), "price 1: Invalid enum value 'overnight' - at `$.lane`"),
        (
            MODEL + PRICE.replace("2026-01-01", '"soon"'),
            "price 1: Invalid RFC3339 encoded date - at `$.effective_from`",
        ),
        (MODEL + PRICE + 'currency = "EUR"', "price 1: currency is EUR\n  hint: write prices in USD"),
        (MODEL + PRICE + "effective_to = 2026-01-01", "price 1: effective_to 2026-01-01 is not after"),
        (MODEL + PRICE + "prompt_tokens_over = -5", "price 1: prompt_tokens_over is -5"),
        (
            MODEL + PRICE.replace("input = 1\noutput = 2.50\n", ""),
            "price 1: no price in it\n  hint: write one or more of",
        ),
        (PRICE, 'price 1: tide is not described\n  hint: add a [[model]] with "name"'),
        (MODEL + PRICE + PRICE, "f0.toml:17: price 2: two prices for input of tide (batch) on 2026-01-01"),
        (MODEL + MODEL, "f0.toml:9: model 2: tide is already described in this file"),
        (MODEL.replace("= 100\n", "= 0\n"), "model 1: context_tokens and output_tokens_max must be above 0"),
        (MODEL + "us_factor = 0", "model 1: us_factor is 0"),
        (MODEL + "us_factor = inf", "model 1: us_factor is Infinity"),
        (MODEL + "launched_on = 2026-01-02\nretires_on = 2026-01-02", "model 1: retired on 2026-01-02, launched on"),
        (MODEL.replace("own", "") + "checked_on = 2026-13-01", "f0.toml: not TOML"),
        ("[model]\nname = 1", "f0.toml: model: one table where a list is due\n  hint: write [[model]]"),
        ("[[prices]]\na = 1", "f0.toml: prices: no such section\n  hint: there are model, price, limit"),
        ("x = ", "f0.toml: not TOML: "),
        (LIMIT.replace("= 1\n", "= 0\n"), "limit 1: amount is 0"),
        (MODEL + PRICE + "at_most = { output = 2 }", "price 1: at_most of output is 2"),
        (MODEL + PRICE + "at_most = { cache_read = 2 }", "price 1: at_most of cache_read is 2"),
        (MODEL + PRICE + "at_most = { output = nan }", "price 1: at_most of output is NaN"),
        (MODEL + PRICE + "at_most = { tides = 2 }", "price 1: Invalid enum value"),
        (LIMIT + "effective_to = 2026-01-01", "limit 1: effective_to 2026-01-01 is not after"),
        (LIMIT.replace("body_bytes", "patience"), "limit 1: Invalid enum value"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    found = problems(text)
    assert any(message in problem for problem in found), found


def test_all_problems_are_told_and_the_rest_is_read() -> None:
    broken = MODEL + PRICE.replace("= 1\n", "= -1\n") + PRICE.replace("tide", "ebb") + PRICE
    catalog, found = parse({"a": broken.encode(), "b": b"\xff", "c": b"nonsense"})
    assert [problem.where for problem in found] == ["b", "c", "a:9: price 1", "a:17: price 2"]
    assert len(catalog.prices) == 2


def test_rows_of_one_file_may_follow_each_other_without_a_gap() -> None:
    first = PRICE + "effective_to = 2026-06-01"
    second = PRICE.replace("2026-01-01", "2026-06-01").replace("= 1\n", "= 3\n")
    assert problems(MODEL + first + second) == []
    assert len(problems(MODEL + second + PRICE)) == 2  # input and output both clash


def test_a_byte_order_mark_and_inline_tables_are_read() -> None:
    inline = 'model = [{provider = "own", name = "tide", context_tokens = 9, output_tokens_max = 9, x = 1}]'
    found = problems("\ufeff" + inline)
    assert found == ["f0.toml: model 1: Object contains unknown field `x`"]
