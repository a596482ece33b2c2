"""In front of the views: the access log for the tests, and a proxy's limit."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

Handler = Callable[[HttpRequest], HttpResponseBase]


class AccessLog:
    """Write a line for each request, with neither its headers nor its body."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if settings.ACCESS_LOG:
            line = {
                "method": request.method,
                "path": request.path,
                "query": request.META.get("QUERY_STRING", ""),
                "content_type": request.content_type,
                "status": response.status_code,
            }
            with open(settings.ACCESS_LOG, "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        return response


class LongestQuery:
    """Refuse what is too long for the proxy, in the proxy's words."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        longest = settings.VARIANT.max_query
        if longest is not None and len(request.META.get("QUERY_STRING", "")) > longest:
            return HttpResponse("<html><h1>414 Request-URI Too Large</h1></html>", status=414)
        return self.get_response(request)
