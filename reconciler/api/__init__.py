"""Calls the service as the contract says: one call (``client``), a consistent listing (``listing``), and more."""
