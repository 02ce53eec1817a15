"""The packaged catalog, read once, and the tools that write its files."""

import importlib
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from lowtide.catalog import PACKAGED, Catalog
from lowtide.catalog.parse import parse

TOOLS = Path(__file__).parents[3] / "tools"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Give what is shipped."""
    found, problems = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
    assert problems == ()
    return found


@pytest.fixture(scope="session")
def importer() -> Iterator[ModuleType]:
    """Load the tool that writes the files; it is no part of the package."""
    sys.path.insert(0, str(TOOLS))
    try:
        yield importlib.import_module("import_prices")
    finally:
        sys.path.remove(str(TOOLS))
