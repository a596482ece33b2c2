"""Behaviour tests: what a persona is asked, what is expected of its answer, and what a plan changes about it."""
