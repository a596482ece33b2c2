"""Sends one HTTP call: the body in the contract's encoding, over persistent connections, with the key of the endpoint.

Requests does the work. Whatever is the same for all calls to one address is determined once: its proxy and
certificates, and every part of a request except its query and body.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from urllib3.filepost import encode_multipart_formdata

from reconciler import __version__
from reconciler.api.endpoint import Endpoint
from reconciler.bounded_http import BoundedAdapter, BoundedSession, send_within
from reconciler.contract import SESSION_NAMES, Operation
from reconciler.text.hosts import is_loopback


class Transport:
    """Sends calls to one address. Safe to use from many threads. Timeouts are in seconds.

    ``read_timeout`` is the longest silence of the server. A whole call takes at most
    :attr:`call_timeout`, twice as long.
    """

    def __init__(
        self, endpoint: Endpoint, connections: int, connect_timeout: float, read_timeout: float
    ) -> None:
        self._endpoint = endpoint
        self.read_timeout = read_timeout
        self.call_timeout = 2 * read_timeout
        self._timeout = (connect_timeout, read_timeout)
        self._session = BoundedSession()
        adapter = _Adapter(pool_connections=1, pool_maxsize=connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.headers["User-Agent"] = f"reconciler/{__version__}"
        # Set as auth, not as a header, which requests would replace by the credentials of a .netrc file.
        self._session.auth = self._authorize
        self._settings = self._session.merge_environment_settings(endpoint.url, {}, True, None, None)
        if is_loopback(urlsplit(endpoint.url).hostname or ""):
            self._settings[
                "proxies"
            ] = {}  # plain http is for this machine only, so it must not go through a proxy
        self._known: dict[tuple[str, str], requests.PreparedRequest] = {}  # by method and path

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def send(
        self, operation: Operation, fields: Mapping[str, Any], permit: Callable[[], None] | None = None
    ) -> requests.Response:
        """Send one call, and read its whole answer, whatever its status. ``permit`` is as in
        :func:`reconciler.bounded_http.send_within`.

        Raises:
            ValueError: the address or the key is not possible in HTTP. The text may contain the key.
            UnacceptableAnswerError, SlowAnswerError: the answer exceeds a limit of :mod:`reconciler.bounded_http`.
            requests.RequestException, urllib3.exceptions.HTTPError: no response came, or only a part of one.
        """
        return send_within(
            self._session,
            self._prepared(operation, fields),
            self.call_timeout,
            permit=permit,
            timeout=self._timeout,
            allow_redirects=False,
            **self._settings,
        )

    def _prepared(self, operation: Operation, fields: Mapping[str, Any]) -> requests.PreparedRequest:
        request = self._blank(operation, fields)
        if operation.encoding in ("none", "query"):
            query = query_of(operation, fields)
            if query:
                request.url = f"{request.url}?{query}"
            return request
        wire = _on_the_wire(operation, fields)
        if operation.encoding == "json":
            body, kind = json.dumps(wire, separators=(",", ":")).encode(), "application/json"
        else:
            texts = {name: _form_text(value).encode("utf-8", "surrogatepass") for name, value in wire.items()}
            if operation.encoding == "form":
                body, kind = urlencode(texts).encode(), "application/x-www-form-urlencoded"
            else:
                assert operation.encoding == "multipart", operation.encoding
                body, kind = encode_multipart_formdata(texts)
        request.body = body
        request.headers["Content-Type"] = kind
        request.headers["Content-Length"] = str(len(body))
        return request

    def _blank(self, operation: Operation, fields: Mapping[str, Any]) -> requests.PreparedRequest:
        """The request without query and body. Prepared once, unless its path names a session or there are cookies."""
        path = operation.path
        if "{" in path:
            for name in SESSION_NAMES:
                path = path.replace(f"{{{name}}}", quote(str(fields.get(name) or ""), safe=""))
        if path != operation.path or len(self._session.cookies):
            return self._new(operation.method, path)
        known = self._known.get((operation.method, path))
        if known is None:
            known = self._known[operation.method, path] = self._new(operation.method, path)
        request = copy.copy(known)
        request.headers = known.headers.copy()
        return request

    def _new(self, method: str, path: str) -> requests.PreparedRequest:
        return self._session.prepare_request(requests.Request(method, self._endpoint.url + path))

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._endpoint.api_key:
            request.headers["Authorization"] = f"Bearer {self._endpoint.api_key}"
        return request


class _Adapter(BoundedAdapter):
    """An adapter for a single address, whose proxy and certificates are determined once."""

    _way: Any = None

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        if self._way is None:
            self._way = super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._way

    def close(self) -> None:
        super().close()
        self._way = None

    def request_url(self, request: Any, proxies: Any) -> str:
        # Plain http never goes through a proxy, so the request line never needs the whole address.
        return str(request.path_url)


def query_of(operation: Operation, fields: Mapping[str, Any]) -> str:
    """The query of these fields, without its question mark. Fields that are None are omitted."""
    texts = {
        name: _form_text(value).encode("utf-8", "surrogatepass")
        for name, value in _on_the_wire(operation, fields).items()
        if value is not None
    }
    return urlencode(texts)


def _on_the_wire(operation: Operation, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by wire name, without those that the call is known not to store."""
    return {
        operation.fields[name]: value
        for name, value in fields.items()
        if name in operation.fields and name not in operation.ignores
    }


def _form_text(value: Any) -> str:
    """A value in a form or a query: strings unchanged, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
