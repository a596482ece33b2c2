"""The envelope of every response, and the form of errors."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler


class OutOfPoints(APIException):
    status_code = status.HTTP_406_NOT_ACCEPTABLE
    default_detail = "积分不足"
    default_code = "out_of_points"


def answer(data: Any, code: int = status.HTTP_200_OK, message: str = "") -> Response:
    """An answer in the envelope, errors included."""
    http = status.HTTP_200_OK if settings.VARIANT.errors == "http200" else code
    return Response({"message": message, "status": code, "data": data}, status=http)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """What an error is answered by, None for one of the service's own: a 500."""
    response = framework_handler(error, context)
    if response is None or settings.VARIANT.errors == "bare":
        return response
    wrapped = answer(response.data, response.status_code, _text(response.data))
    for name, value in response.headers.items():
        if name != "Content-Type":
            wrapped[name] = value
    return wrapped


def _text(problem: Any) -> str:
    """The framework's errors as one text."""
    if isinstance(problem, list):
        return " ".join(_text(one) for one in problem)
    if not isinstance(problem, dict):
        return str(problem)
    if problem.keys() == {"detail"}:
        return str(problem["detail"])
    return "; ".join(f"{name}: {_text(texts)}" for name, texts in problem.items())
