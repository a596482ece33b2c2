"""Running behaviour tests: which questions to ask, asking them within a budget, and keeping the answers."""
