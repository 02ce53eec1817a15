"""``money``: two ways to round, one way to read, two ways to write; to the last nano-dollar."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.money import (
    ceiling_nanos,
    cost_nanos,
    decimal_dollars,
    nanos_from_dollars,
    show_apart,
    show_dollars,
    show_sum,
)

NANO = Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("exact", "cost", "ceiling"),
    [
        (Fraction(0), 0, 0),
        (NANO / 2, 0, 1),
        (NANO * 3 / 2, 2, 2),
        (NANO * 5 / 2, 2, 3),
        (NANO * Fraction(51, 100), 1, 1),
        (NANO * Fraction(1, 10**12), 0, 1),
        (Fraction(3), 3 * 10**9, 3 * 10**9),
        (Fraction(1, 3), 333_333_333, 333_333_334),
        (Fraction(9 * 10**9), 9 * 10**18, 9 * 10**18),
    ],
)
def test_a_cost_is_rounded_half_to_even_and_a_ceiling_up(exact: Fraction, cost: int, ceiling: int) -> None:
    assert cost_nanos(exact) == cost
    assert ceiling_nanos(exact) == ceiling


@given(st.fractions(min_value=0, max_value=10**9))
def test_a_ceiling_is_never_below_a_cost_and_neither_is_off_by_a_nano(dollars: Fraction) -> None:
    assert cost_nanos(dollars) <= ceiling_nanos(dollars)
    assert abs(cost_nanos(dollars) * NANO - dollars) <= NANO / 2
    assert 0 <= ceiling_nanos(dollars) * NANO - dollars < NANO


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("10", 10 * 10**9),
        ("0.05", 50_000_000),
        ("$1,000", 10**12),
        (" $ 2".replace(" $ ", " $"), 2 * 10**9),
        ("1_000.5", 1_000_500_000_000),
        ("0.000000001", 1),
        ("0", 0),
        ("1e2", 10**11),
        ("+3", 3 * 10**9),
        ("9223372036.854775807", 2**63 - 1),
        ("$1,234,567.89", 1_234_567_890_000_000),
    ],
)
def test_dollars_are_read_as_people_write_them(text: str, nanos: int) -> None:
    assert nanos_from_dollars(text) == nanos


@pytest.mark.parametrize(
    "text",
    ["", "$", "ten", "-1", "-0.5", "0.0000000001", "nan", "inf", "-inf", "1.2.3", "10 €", "sNaN"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of dollars"):
        nanos_from_dollars(text)


@pytest.mark.parametrize(
    "text", ["0,50", "1,5", "10,00", "1,0000", "0,500", ",5", "1,", "1,000,00", "1000,000", "1,000_000", "1,000e3"]
)
def test_a_comma_between_other_than_thousands_is_somebodys_decimal_point(text: str) -> None:
    """To whom ``0,50`` is half a dollar, it must not become fifty."""
    with pytest.raises(ValueError, match="a comma stands between thousands"):
        nanos_from_dollars(text)


@pytest.mark.parametrize("text", ["9223372036.854775808", "1e30", "99999999999999999999"])
def test_more_than_the_books_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than the books can hold"):
        nanos_from_dollars(text)


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (18_800_000, "0.0188"),
        (12 * 10**9, "12"),
        (0, "0"),
        (1, "0.000000001"),
        (-1_500_000_000, "-1.5"),
        (100 * 10**9, "100"),
        (10**18, "1000000000"),
    ],
)
def test_machines_get_every_digit(nanos: int, text: str) -> None:
    assert decimal_dollars(nanos) == text


@given(st.integers(0, 2**63 - 1))
def test_what_is_written_reads_back(nanos: int) -> None:
    assert nanos_from_dollars(decimal_dollars(nanos)) == nanos


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (58_500_000_000, "$58.50"),
        (1_234_567_890_000_000, "$1,234,567.89"),
        (1_005_000_000, "$1.00"),  # half to even
        (1_015_000_000, "$1.02"),
        (999_999_999, "$1.00"),
        (500_000_000, "$0.50"),
        (18_800_000, "$0.0188"),
        (3_500, "$0.0000035"),
        (1, "$0.000000001"),
        (-2_250_000_000, "-$2.25"),
        (-1, "-$0.000000001"),
        (99_996_000, "$0.10"),
        (40_000_000, "$0.04"),
    ],
)
def test_people_get_what_they_can_read_and_never_nothing_for_something(nanos: int, text: str) -> None:
    assert show_dollars(nanos) == text


@given(st.integers(1, 2**63 - 1))
def test_something_is_never_shown_as_nothing(nanos: int) -> None:
    assert float(show_dollars(nanos).replace("$", "").replace(",", "")) > 0
    shown = nanos_from_dollars(show_dollars(nanos))
    assert abs(shown - nanos) <= (5_000_000 if nanos >= 99_950_000 else nanos // 200)


@pytest.mark.parametrize(
    ("amounts", "texts"),
    [
        ([728_977_000, 20_928_000], ["$0.729", "$0.0209"]),
        ([1_149_112_000, 26_328_000], ["$1.1491", "$0.0263"]),
        ([1_149_112_000, 0], ["$1.15", "$0.00"]),
        ([12_345_678_900_000, 5_000_000_000], ["$12,345.68", "$5.00"]),
        ([0, 0], ["$0.00", "$0.00"]),
        ([3, 2_000_000_000], ["$0.000000003", "$2.00"]),
        ([0, 1_206, 1_206], ["$0.00", "$0.00000121", "$0.0000012"]),
    ],
)
def test_amounts_of_one_sum_have_the_same_digits(amounts: list[int], texts: list[str]) -> None:
    assert show_sum(amounts) == texts


def test_amounts_that_are_compared_are_never_shown_alike() -> None:
    assert show_apart(3_004_315_000, 3_000_000_000) == ("$3.004315", "$3")
    assert show_apart(3_004_315_000, 2_990_000_000) == ("$3.00", "$2.99")
    assert show_apart(3_004_315_000, 3_004_315_000) == ("$3.00", "$3.00")


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=4))
def test_what_is_shown_of_a_sum_adds_up_and_strays_from_it_by_less_than_a_digit(amounts: list[int]) -> None:
    shown = [nanos_from_dollars(text) for text in show_sum(amounts)]
    finest = min((amount for amount in amounts if amount), default=10**9)
    last_digit = 10_000_000 if finest >= 100_000_000 else max(10 ** (len(str(finest)) - 3), 1)
    assert abs(sum(shown) - sum(amounts)) <= last_digit / 2
    assert all(abs(one - amount) < last_digit or one == amount for one, amount in zip(shown, amounts, strict=True))
    assert all(one == 0 for one, amount in zip(shown, amounts, strict=True) if amount == 0)
