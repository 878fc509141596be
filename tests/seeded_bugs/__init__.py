"""Bugs on purpose: each is put into a copy of the project, and some test there has to fail.

A suite that is green says nothing of what it would notice. Here every promise of the engine is broken once,
in a line or two, the way a tired programmer would; `python -m tests.seeded_bugs` shows which test notices.
"""
