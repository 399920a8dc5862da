"""How `release create --from` writes what is asked of a released model.

    --condition COLUMN=VALUE    split at the first "=": a category as it is, true or false, a number or a moment,
                                LOW..HIGH (an end may be left out), or nothing after "=" for null
    --rebalance COLUMN          equal shares of the declared values
    --share VALUE=SHARE         given shares instead, one option a value, split at the last "="
    --rows N, or --rows 10x     a number of rows, or so many times those of the source

Values need no escape beyond the shell's: names with commas, colons or "=" stay as they are.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from synthgate.derivation import Rebalance, Share
from synthgate.errors import InvalidArgument


def conditions(given: Sequence[str]) -> dict[str, str]:
    """Values by column. Raises InvalidArgument."""
    found: dict[str, str] = {}
    for text in given:
        column, between, value = text.partition("=")
        if not between or column in found:
            raise InvalidArgument("a condition is COLUMN=VALUE, LOW..HIGH for a range, one for a column")
        found[column] = value
    return found


def rebalance(column: str, given: Sequence[str]) -> Rebalance | None:
    """The shares asked for. Raises InvalidArgument."""
    if not column:
        if given:
            raise InvalidArgument("--share goes with --rebalance COLUMN")
        return None
    shares = []
    for text in given:
        value, between, share = text.rpartition("=")
        try:
            shares.append(Share(value=value, share=float(share)))
        except ValueError:
            between = ""
        if not between:
            raise InvalidArgument("a share is VALUE=SHARE, for instance '<=50K=0.5'")
    return Rebalance(column=column, shares=tuple(shares))


def rows(text: str, source_rows: int) -> int:
    """How many rows ``N`` or ``2.5x`` is; 0 for nothing. Raises InvalidArgument."""
    try:
        number = Decimal(text.removesuffix("x") or "0")
        found = round(number * source_rows) if text.endswith("x") else int(number)
        if text == "" or (found >= 1 and (text.endswith("x") or number == found)):
            return found
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise InvalidArgument("rows are a whole number, or a multiple of the source's like 10x")
