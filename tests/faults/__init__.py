"""What an apply is worth when things go wrong: killed, cut off, refused, raced, out of disk, stopped.

The command runs in a process of its own against the embedded server, over real HTTP. ``make test`` runs a part of it,
``make faults`` all. At the end stands one line with what was found; everything in it but the number of
scenarios has to be 0.
"""
