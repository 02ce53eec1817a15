"""Workloads: sources of requests and places for results, installed by the entry point group ``lowtide.workloads``.

Each keeps the Protocol in ``lowtide.workload``: its reading opens the input once, at plan time; all else is pure. What
turns bytes into requests lives in ``lowtide.inputs``; here are the files, their names and their digests.
"""
