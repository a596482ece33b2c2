"""What holds for all tests."""

from hypothesis import settings

# A deadline is a timing, and a busy machine would fail the test. Failures are found again by the same examples.
settings.register_profile("reconciler", deadline=None, print_blob=True)
settings.load_profile("reconciler")
