"""The calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.fields import Field
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from tests.services.drf.answers import OutOfPoints, answer
from tests.services.drf.filters import MessageFilter, SessionFilter
from tests.services.drf.models import Message, Session
from tests.services.drf.pagination import MessagePagination, SessionPagination
from tests.services.drf.parsers import parsers
from tests.services.drf.serializers import (
    AddressSerializer,
    ChatSerializer,
    MessageSerializer,
    SessionSerializer,
    SessionWriteSerializer,
)

VARIANT = settings.VARIANT

#: What can be talked to.
MODELS = ("deepseek-chat", "deepseek-reasoner", "qwen-plus")


class WritesCostPoints:
    """A write of somebody who has no points left is refused."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        if request.method not in SAFE_METHODS and not request.user.pay():
            raise OutOfPoints


def addressed(sessions: QuerySet[Session], body: Any, by: str) -> Session:
    """The session that a body names."""
    address = AddressSerializer(data=body, by=by)
    address.is_valid(raise_exception=True)
    return get_object_or_404(sessions, **address.validated_data)


class SessionViewSet(WritesCostPoints, ListModelMixin, GenericViewSet):
    serializer_class = SessionSerializer
    pagination_class = SessionPagination
    filterset_class = SessionFilter
    parser_classes = parsers(VARIANT.write, VARIANT.other_encodings)
    ordering_fields = ("session_id", "created_at", "updated_at")
    ordering = ("session_id",)

    def get_queryset(self) -> QuerySet[Session]:
        return Session.objects.filter(api=self.request.user)

    def get_object(self) -> Session:
        if self.kwargs:
            return get_object_or_404(self.get_queryset(), **self.kwargs)
        return addressed(self.get_queryset(), self.request.data, VARIANT.body_ids)

    def retrieve(self, request: Request, **kwargs: Any) -> Response:
        return answer(SessionSerializer(self.get_object()).data)

    def create(self, request: Request) -> Response:
        sent = request.query_params if VARIANT.create == ("query",) else request.data
        serializer = SessionWriteSerializer(data=sent)
        serializer.is_valid(raise_exception=True)
        row = SessionSerializer(serializer.save(api=request.user)).data
        shown = {"row": tuple(row), "token": ("session_token",), "both": ("session_id", "session_token")}
        return answer({name: row[name] for name in shown[VARIANT.create_answer]}, status.HTTP_201_CREATED)

    def update(self, request: Request, **kwargs: Any) -> Response:
        serializer = SessionWriteSerializer(
            self.get_object(), data=request.data, partial=VARIANT.left_out == "kept"
        )
        serializer.is_valid(raise_exception=True)
        return answer(SessionSerializer(serializer.save()).data)

    def destroy(self, request: Request, **kwargs: Any) -> Response:
        self.get_object().delete()
        if request.method == "DELETE":
            return Response(status=status.HTTP_204_NO_CONTENT)
        return answer({})


class MessageViewSet(WritesCostPoints, ListModelMixin, GenericViewSet):
    serializer_class = MessageSerializer
    pagination_class = MessagePagination
    filterset_class = MessageFilter
    parser_classes = parsers(VARIANT.write, VARIANT.other_encodings)
    ordering_fields = ("message_id", "created_at") if VARIANT.message_ordering == "honoured" else ()
    ordering = ("-message_id",) if VARIANT.message_order == "newest" else ("message_id",)

    def sessions(self) -> QuerySet[Session]:
        return Session.objects.filter(api=self.request.user)

    def get_queryset(self) -> QuerySet[Message]:
        return Message.objects.filter(session__in=self.sessions()).select_related("session")

    def filter_queryset(self, queryset: QuerySet[Message]) -> QuerySet[Message]:
        narrowed = super().filter_queryset(queryset)
        query = self.request.query_params
        asked = {name: query[name] for name in VARIANT.message_filters if query.get(name)}
        if VARIANT.message_filter == "required" and not asked:
            required = Field.default_error_messages["required"]
            raise ValidationError({VARIANT.message_filters[0]: [required]})
        if VARIANT.unknown_session == "404" and asked:
            get_object_or_404(self.sessions(), **asked)
        return narrowed

    def create(self, request: Request) -> Response:
        session = addressed(self.sessions(), request.data, VARIANT.message_ids)
        serializer = MessageSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        message = serializer.save(session=session)
        if VARIANT.updated_at == "messages":
            session.updated_at = timezone.now()
            session.save(update_fields=("updated_at",))
        return answer(MessageSerializer(message).data, status.HTTP_201_CREATED)

    def clear(self, request: Request) -> Response:
        sent = request.data or request.query_params
        addressed(self.sessions(), sent, VARIANT.message_ids).messages.all().delete()
        return answer({})


class ModelsView(APIView):
    def get(self, request: Request) -> Response:
        models = [{"id": name, "object": "model", "owned_by": "mindcraft"} for name in MODELS]
        return Response({"object": "list", "data": models})


class ChatView(WritesCostPoints, APIView):
    """Says what it was told."""

    def post(self, request: Request) -> HttpResponseBase:
        serializer = ChatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        said = {"role": "assistant", "content": str(asked["messages"][-1].get("content", ""))}
        head = {"id": "chatcmpl-1", "created": int(timezone.now().timestamp()), "model": asked["model"]}
        if asked["stream"]:
            return StreamingHttpResponse(_stream(head, said), content_type="text/event-stream")
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        return Response({**head, "object": "chat.completion", "choices": [choice]})


def _stream(head: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    for delta, reason in ((said, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"
