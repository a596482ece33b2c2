"""Finding out which lines of the contract hold on a real account, without risk to anything on it.

``checks`` looks, by GET alone. ``probe`` makes one session and learns by writing to that one (``subject`` sees to it
that it is no other), trying the calls of ``candidates``. What comes out is a list of checks (``report``) and a
contract (``learn``).
"""
