"""Text: normalised for comparison, escaped for output, with its hidden characters named. No I/O."""
