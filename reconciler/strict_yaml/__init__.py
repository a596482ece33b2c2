"""YAML read strictly, located to the character, and edited in place. Nothing here knows what a catalog is."""
