"""A provider for octoDNS as one would write it for this service: it lists the pages, one session a TXT record."""

from __future__ import annotations

import json
import logging
from typing import Any

import requests
from octodns.provider.base import BaseProvider
from octodns.record import Record


class PagesProvider(BaseProvider):
    SUPPORTS_GEO = False
    SUPPORTS = frozenset({"TXT"})

    def __init__(self, id: str, url: str, **options: Any) -> None:  # noqa: A002 - octoDNS calls it so
        self.log = logging.getLogger(f"PagesProvider[{id}]")
        self.url = url
        self.session = requests.Session()
        super().__init__(id, **options)

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> bool:
        number, pages = 1, 1
        while number <= pages:
            query = {"ordering": "-session_id", "page": number, "size": 100}
            body = self.session.get(f"{self.url}/v1/session/", params=query).json()
            number, pages = number + 1, body["max_pages"]
            for row in body["results"]:
                key = json.loads(row["session_remark"])["reconciler"]["key"]
                text = row["session_config"]["prompt"].replace("\n", " ")
                data = {"type": "TXT", "ttl": 300, "value": text}
                zone.add_record(Record.new(zone, key, data, source=self, lenient=lenient), lenient=lenient)
        return True

    def _apply(self, plan: Any) -> None:
        raise NotImplementedError
