"""Writes ``store/migrations/versions/0001_first.py`` from the schema, as long as no release has shipped it.

After the first release a change of the schema is a new migration by hand, and this file goes.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from lowtide.store.schema import METADATA, Instant

TARGET = Path(__file__).parent.parent / "src/lowtide/store/migrations/versions/0001_first.py"
HEAD = '''"""The first schema: plans, runs, waves, requests, shards, batches, attempts, the books, segments, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    '''


def _render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:  # noqa: ANN401 alembic's own signature
    return "sa.String(length=27)" if kind == "type" and isinstance(item, Instant) else False


def main() -> None:
    """Write the file and format it."""
    with create_engine("sqlite://").connect() as connection:
        made = produce_migrations(MigrationContext.configure(connection), METADATA)
    assert made.upgrade_ops is not None
    code = render_python_code(made.upgrade_ops, render_item=_render)
    lines = [line for line in code.splitlines() if not line.strip().startswith("#")]
    TARGET.write_text(HEAD + "\n".join(lines).strip() + "\n", encoding="utf-8")
    subprocess.run([str(Path(sys.executable).parent / "ruff"), "format", "-q", str(TARGET)], check=True)


if __name__ == "__main__":
    main()
