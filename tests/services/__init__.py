"""Services that the tests run beside the embedded server, each a process of its own."""
