"""How sessions and messages are read from requests, and shown."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers
from rest_framework.fields import empty

from tests.services.drf.models import DEFAULT_MODEL, Message, Session

VARIANT = settings.VARIANT

#: What an update that resets gives to a field that it was not sent.
DEFAULTS: dict[str, Any] = {
    "session_name": "",
    "session_remark": "",
    "config_data": dict,
    "model": DEFAULT_MODEL,
    "prompt": "",
    "temperature": 0.7,
    "max_tokens": 4000,
    "history_length": 4,
}


class ObjectField(serializers.JSONField):
    """A JSON object; in a form or a query, the text of one."""

    default_error_messages = {"no_object": serializers.DictField.default_error_messages["not_a_dict"]}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            self.fail("no_object", input_type=type(value).__name__)
        return value


class TextsAsSent(serializers.ModelSerializer):
    """Keeps white space at the ends of texts where the variant does."""

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for field in fields.values():
            if isinstance(field, serializers.CharField):
                field.trim_whitespace = VARIANT.whitespace == "trimmed"
        return fields


class SessionSerializer(serializers.ModelSerializer):
    """The row of a session."""

    session_config = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = (
            *("session_id", "session_token", "api_id", "device_id", "session_name", "session_config"),
            *("session_remark", "created_at", "updated_at"),
        )

    def get_session_config(self, session: Session) -> dict[str, Any]:
        return {
            "data": session.config_data,
            "model": session.model,
            "prompt": session.prompt,
            "max_tokens": session.max_tokens,
            "temperature": session.temperature,
            "history_length": session.history_length,
        }


class SessionWriteSerializer(TextsAsSent):
    """The eight fields of a create or an update."""

    class Meta:
        model = Session
        fields = (
            *("session_name", "session_remark", "config_data", "model", "prompt"),
            *("temperature", "max_tokens", "history_length"),
        )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        del fields["config_data"]
        source = None if VARIANT.data_field == "config_data" else "config_data"
        fields[VARIANT.data_field] = ObjectField(source=source, required=False)
        if self.instance is not None and VARIANT.left_out != "kept":
            for name, field in fields.items():
                field.required = VARIANT.left_out == "refused"
                if VARIANT.left_out == "reset":
                    field.default = DEFAULTS[field.source or name]
                    if field.default_empty_html is not empty:  # what a form leaves out
                        field.default_empty_html = field.default
        return fields

    def validate_session_remark(self, value: str | None) -> str | None:
        limit = VARIANT.remark_limit
        if limit is None or value is None or len(value) <= limit:
            return value
        if VARIANT.remark_over == "cut":
            return value[:limit]
        # The texts of a limit on a field itself: translated by the framework.
        raise serializers.ValidationError(
            serializers.CharField.default_error_messages["max_length"].format(max_length=limit)
        )

    def create(self, validated_data: dict[str, Any]) -> Session:
        now = timezone.now()
        return super().create({**validated_data, "created_at": now, "updated_at": now})

    def update(self, instance: Session, validated_data: dict[str, Any]) -> Session:
        if VARIANT.updated_at != "never":
            instance.updated_at = timezone.now()
        return super().update(instance, validated_data)


class MessageSerializer(TextsAsSent):
    """A message: its row, and what a new one is made from."""

    session_token = serializers.UUIDField(source="session.session_token", read_only=True)
    message_meta = serializers.JSONField(source="meta_data", read_only=True)
    meta_data = ObjectField(required=False, allow_null=True, write_only=True)

    class Meta:
        model = Message
        fields = (
            *("message_id", "session_id", "session_token", "message_category", "message_content"),
            *("message_meta", "meta_data", "created_at"),
        )


class AddressSerializer(serializers.Serializer):
    """The session that a body names."""

    session_id = serializers.IntegerField()
    session_token = serializers.UUIDField()

    def __init__(self, *args: Any, by: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if by == "either":
            self.fields["session_id"].required = self.fields["session_token"].required = False
        elif by != "both":
            del self.fields["session_id" if by == "token" else "session_token"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("session_id 和 session_token 至少需要一个。")
        return attrs


class ChatSerializer(serializers.Serializer):
    model = serializers.CharField()
    messages = serializers.ListField(child=serializers.DictField(), allow_empty=False)
    stream = serializers.BooleanField(default=False)
