"""Continuous reconciliation: catalogs and accounts that are looked at again and again.

Nothing here prints, handles a signal, changes a process-wide setting or reads a clock that it was not given.
"""
