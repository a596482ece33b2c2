"""A small session service on Django REST framework, which runs as a process of its own.

``python -m tests.services.drf --port 0`` serves it, and :mod:`tests.services.drf.running` runs it for tests. It is
written as a developer of that framework would write it, and shares no code with ``reconciler``: a misreading of the
API in one is not repeated in the other. What is not known of the real service is set by the environment variables that
:mod:`tests.services.drf.variant` documents; :mod:`tests.services.drf.variants` names the combinations worth testing.
"""
