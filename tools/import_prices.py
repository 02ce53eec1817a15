"""Writes src/lowtide/catalog/*.toml: prices from the pinned genai-prices package, corrected and dated.

A tool for developers, run by hand; its output is committed and a test holds it against the package. What each provider's
file says is in ``price_anthropic`` and ``price_openai``. Nothing is fetched. The same package gives the same bytes.

    python tools/import_prices.py            rewrites the files
    python tools/import_prices.py --check    says whether they would change
"""

import sys
from pathlib import Path

import price_anthropic
import price_openai
from price_tables import render

CATALOG = Path(__file__).parent.parent / "src" / "lowtide" / "catalog"


def texts() -> dict[Path, str]:
    """Give each file and what it should say."""
    return {
        CATALOG / "anthropic.toml": render(price_anthropic.sheet()),
        CATALOG / "openai.toml": render(price_openai.sheet()),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` say whether they are as they would be written."""
    found = 0
    for target, text in texts().items():
        if "--check" in arguments:
            same = target.is_file() and target.read_text(encoding="utf-8") == text
            sys.stdout.write(f"{target.name} is {'as it should be' if same else 'out of date'}\n")
            found |= not same
        else:
            target.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {target}\n")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
