"""Migrations of the store; the newest is the schema that ``schema.py`` describes."""
