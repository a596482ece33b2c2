"""Accounts, sessions, messages."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

DEFAULT_MODEL = "deepseek-chat"


class Account(models.Model):
    """An API key and what belongs to it."""

    id = models.AutoField(primary_key=True)
    key = models.CharField(max_length=100, unique=True)
    points = models.IntegerField(null=True)

    #: What the framework asks of whoever calls.
    is_authenticated = True

    def pay(self) -> bool:
        """Take a point for a write. False where none is left."""
        if self.points is None:
            return True
        mine = Account.objects.filter(pk=self.pk, points__gt=0)
        return mine.update(points=models.F("points") - 1) == 1


class Session(models.Model):
    session_id = models.AutoField(primary_key=True)
    session_token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    api = models.ForeignKey(Account, on_delete=models.CASCADE)
    device_id = models.IntegerField(null=True)
    session_name = models.CharField(max_length=255)
    session_remark = models.TextField(blank=True, null=True, default="")
    config_data = models.JSONField(default=dict)
    model = models.CharField(max_length=100)
    prompt = models.TextField(blank=True, default="")
    temperature = models.FloatField(default=0.7)
    max_tokens = models.PositiveIntegerField(default=4000)
    history_length = models.PositiveIntegerField(default=4)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)


class Message(models.Model):
    class Category(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"
        TIP = "tip"

    message_id = models.AutoField(primary_key=True)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="messages")
    message_category = models.CharField(max_length=20, choices=Category.choices)
    message_content = models.TextField()
    meta_data = models.JSONField(default=dict, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
