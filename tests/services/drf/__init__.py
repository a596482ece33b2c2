"""A small session service on Django REST framework, to be run as a process of its own.

``python -m tests.services.drf --port 0`` serves it; :mod:`tests.services.drf.running` does so for tests. It is written
as a developer of that framework would write it, from the vendor's documentation alone, and shares no code with
``reconciler``: where both agree, they agree about the API. What is not known of the real service varies, by the
environment variables of :mod:`tests.services.drf.variant`.
"""
