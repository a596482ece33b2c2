"""The filters of the lists. An unknown filter is ignored, as the framework does."""

from __future__ import annotations

import django_filters
from django.conf import settings

from tests.services.drf.models import Message, Session

VARIANT = settings.VARIANT


class SessionFilter(django_filters.FilterSet):
    session_name = django_filters.CharFilter(
        lookup_expr="exact" if VARIANT.name_filter == "exact" else "icontains"
    )

    class Meta:
        model = Session
        fields = ("session_name",)


class MessageFilter(django_filters.FilterSet):
    if "session_token" in VARIANT.message_filters:
        session_token = django_filters.UUIDFilter(field_name="session__session_token")
    if "session_id" in VARIANT.message_filters:
        session_id = django_filters.NumberFilter(field_name="session_id")

    class Meta:
        model = Message
        fields = ()
