"""Pages of sessions, and the several ways to page through messages."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response

VARIANT = settings.VARIANT


class SessionPagination(PageNumberPagination):
    page_size = 10
    page_size_query_param = "size"
    max_page_size = VARIANT.max_size

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "message": "",
                "status": 200,
                "count": self.page.paginator.count,
                "max_pages": self.page.paginator.num_pages,
                "current_page": self.page.number,
                "results": data,
            }
        )


class Cursor(serializers.Serializer):
    before_message_id = serializers.IntegerField(required=False)


class MessagePagination(PageNumberPagination):
    page_size = 20
    page_size_query_param = "size"
    max_page_size = VARIANT.max_size

    def paginate_queryset(self, queryset: QuerySet, request: Request, view: Any = None) -> list[Any]:
        rest = queryset
        if VARIANT.message_pages in ("cursor", "both"):
            cursor = Cursor(data=request.query_params)
            cursor.is_valid(raise_exception=True)
            if cursor.validated_data:
                rest = queryset.filter(message_id__lt=cursor.validated_data["before_message_id"])
        self.whole = queryset
        return super().paginate_queryset(rest, request, view)

    def get_page_size(self, request: Request) -> int | None:
        if VARIANT.message_pages == "all":
            return 2**31
        return super().get_page_size(request)

    def get_page_number(self, request: Request, paginator: Paginator) -> str | int:
        known = VARIANT.message_pages in ("page", "both")
        return super().get_page_number(request, paginator) if known else 1

    def get_paginated_response(self, data: Any) -> Response:
        rest = self.page.paginator
        whole = Paginator(self.whole, rest.per_page)
        body: dict[str, Any] = {"message": "", "status": 200}
        if VARIANT.message_count != "none":
            body["count"] = {"page": len(data), "rest": rest.count, "whole": whole.count}[
                VARIANT.message_count
            ]
        if VARIANT.message_max_pages != "absent":
            body["max_pages"] = (rest if VARIANT.message_max_pages == "rest" else whole).num_pages
        return Response({**body, "results": data})
