"""The paths, as the variant has them."""

from __future__ import annotations

from collections import defaultdict

from django.conf import settings
from django.urls import path

from tests.services.drf.parsers import parsers
from tests.services.drf.views import ChatView, MessageViewSet, ModelsView, SessionViewSet

VARIANT = settings.VARIANT

ONE = {"id": "<int:session_id>/", "token": "<uuid:session_token>/", "verbs": ""}


def session_routes() -> dict[str, dict[str, str]]:
    """What each path below the collection does, by method."""
    routes: dict[str, dict[str, str]] = defaultdict(dict)
    one = ONE[VARIANT.paths]
    routes["update/" if VARIANT.paths == "verbs" else one]["post"] = "update"
    if VARIANT.delete == "http":
        routes[one]["delete"] = "destroy"
    else:
        routes[f"{one}{VARIANT.delete}/"]["post"] = "destroy"
    if VARIANT.get_one != "absent":
        routes[ONE[VARIANT.get_one]]["get"] = "retrieve"
    return routes


urlpatterns = [
    path(
        "v1/session/",
        SessionViewSet.as_view(
            {"get": "list", "post": "create"},
            parser_classes=parsers(VARIANT.create, VARIANT.other_encodings),
        ),
    ),
    *(
        path("v1/session/" + below, SessionViewSet.as_view(actions))
        for below, actions in session_routes().items()
    ),
    path("v1/message/", MessageViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/message/clear/", MessageViewSet.as_view({"post": "clear"})),
    path("v1/models", ModelsView.as_view()),
    path("v1/chat/completions", ChatView.as_view()),
]
