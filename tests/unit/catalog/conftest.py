"""The packaged catalog, read once."""

from importlib.resources import files

import pytest

from lowtide.catalog import PACKAGED, Catalog
from lowtide.catalog.parse import parse


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Give what is shipped."""
    found, problems = parse({name: (files("lowtide.catalog") / name).read_bytes() for name in PACKAGED})
    assert problems == ()
    return found
