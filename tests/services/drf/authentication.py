"""``Authorization: Bearer <api key>``."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tests.services.drf.models import Account


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Account, None] | None:
        scheme, _, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        account = Account.objects.filter(key=key.strip()).first()
        if account is None:
            raise AuthenticationFailed("无效的 API Key")
        return account, None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
