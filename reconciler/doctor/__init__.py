"""Finding out how a real account behaves, without risk to anything on it.

``survey`` only reads: every call is a GET. ``probe`` creates one session and learns by writing to it, with the calls
of ``candidates``; ``session`` makes sure that no other session is ever written to. What they share is in ``context``.
Each check is in a module named after its subject. The result is a list of checks (``report``) and a contract
(``learned``).
"""
