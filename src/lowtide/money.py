"""Money: integer nano-dollars, and the only two ways to round into them.

A price is a ``Decimal`` in dollars per million tokens, as the provider prints it. A cost is ``Nanos``: integers sum
exactly, in Python and in SQL's 64 bits up to about nine billion dollars. No float ever comes near either.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NewType

Nanos = NewType("Nanos", int)

NANOS_PER_DOLLAR = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000
ZERO = Nanos(0)
THOUSANDS = re.compile(r"\+?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", re.ASCII)


def cost_nanos(dollars: Fraction) -> Nanos:
    """Round an exact amount of dollars to nano-dollars, half to even. The stated rounding of promise 6."""
    return Nanos(round(dollars * NANOS_PER_DOLLAR))


def ceiling_nanos(dollars: Fraction) -> Nanos:
    """Round an exact amount of dollars up to nano-dollars: a ceiling never falls below the later cost."""
    return Nanos(-((-dollars * NANOS_PER_DOLLAR) // 1))


def nanos_from_dollars(text: str) -> Nanos:
    """Read dollars as a person writes them (``10``, ``0.05``, ``$1,000``).

    A comma stands between thousands or nowhere: to many people ``0,50`` is half a dollar, and must not become fifty.
    Raises: ValueError when the text is no amount, is negative, or is finer than a nano-dollar.
    """
    cleaned = text.strip().removeprefix("$").strip()
    if "," in cleaned and not THOUSANDS.fullmatch(cleaned):
        raise ValueError(
            f"{text!r} is not an amount of dollars: a comma stands between thousands, a point before cents"
        )
    cleaned = cleaned.replace(",", "").replace("_", "")
    try:
        amount = Decimal(cleaned) * NANOS_PER_DOLLAR
    except ArithmeticError:
        raise ValueError(f"{text!r} is not an amount of dollars") from None
    if not amount.is_finite() or amount < 0 or amount != amount.to_integral_value():
        raise ValueError(f"{text!r} is not an amount of dollars")
    if amount >= 2**63:
        raise ValueError(f"{text!r} is more than the books can hold")
    return Nanos(int(amount))


def decimal_dollars(amount: int) -> str:
    """Write nano-dollars exactly, as a plain decimal string for machines: ``0.0188``, ``12``."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), NANOS_PER_DOLLAR)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def show_dollars(amount: int) -> str:
    """Write nano-dollars for people: cents from ten cents on, three significant digits below, never ``$0.00`` for something.

    Half to even at the last shown digit: ``$58.50``, ``$0.0188``, ``$0.0000035``, ``$0.00``.
    """
    return _with_digits(amount, _digits(amount))


def show_apart(one: int, other: int) -> tuple[str, str]:
    """Write two amounts that are compared: exactly, where rounded they would look the same and are not."""
    shown = (show_dollars(one), show_dollars(other))
    if shown[0] != shown[1] or one == other:
        return shown
    return (f"${decimal_dollars(one)}", f"${decimal_dollars(other)}")


def show_sum(amounts: Sequence[int]) -> list[str]:
    """Write amounts, none below zero, that are read as a sum with the same digits: what is shown adds up to what is shown of it.

    Each strays by less than its last digit: all are cut there, and what rounding leaves over goes to those that lost the
    most. So a sum that fits a cap is never shown as one that passes it, and nothing is never shown as something.
    """
    digits = max((_digits(amount) for amount in amounts if amount), default=2)
    unit = 10 ** max(0, 9 - digits)
    units = [amount // unit for amount in amounts]
    left_over = round(Fraction(sum(amounts), unit)) - sum(units)
    by_loss = sorted(range(len(amounts)), key=lambda index: amounts[index] % unit, reverse=True)
    for index in by_loss[:left_over]:
        units[index] += 1
    return [_with_digits(count * unit, digits) for count in units]


def _digits(amount: int) -> int:
    """Say how many digits after the point people are shown of an amount."""
    dollars = Decimal(abs(amount)) / NANOS_PER_DOLLAR
    if dollars == 0 or dollars >= 1:
        return 2
    return max(2, -dollars.adjusted() + 1 if dollars.adjusted() > -2 else -dollars.adjusted() + 2)


def _with_digits(amount: int, digits: int) -> str:
    """Write an amount with so many digits after the point, zeros at the end left out but for cents."""
    sign = "-" if amount < 0 else ""
    dollars = Decimal(abs(amount)) / NANOS_PER_DOLLAR
    whole, _, rest = f"{dollars.quantize(Decimal(1).scaleb(-digits)):,f}".partition(".")
    return f"{sign}${whole}.{rest.rstrip('0').ljust(2, '0')}"
