"""Speaking to the service: one call at a time (``client``), a consistent listing (``listing``), all by the contract."""
