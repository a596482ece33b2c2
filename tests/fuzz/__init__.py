"""Mutated files of every kind that the program reads, given to the commands that read them.

``make fuzz`` runs 100,000 inputs and prints the seed of each that ends badly; ``python -m tests.fuzz --one SEED`` shows
that input again. The default tests run a smaller number.

- :mod:`tests.fuzz.worlds`: the files that are valid, and the commands that read them
- :mod:`tests.fuzz.mutate`: how they are spoilt
- :mod:`tests.fuzz.run`: one input, and what may come of it
"""
