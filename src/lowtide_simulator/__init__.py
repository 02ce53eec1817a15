"""A model provider to run against: Anthropic's HTTP API with a clock, faults and a bill of its own.

It imports nothing of ``lowtide`` and ``lowtide`` imports nothing of it but ``__main__.main``. See README.md beside
this file.
"""
