"""A bare server of the session API: it lists, creates and updates as fast as one process can, after a given latency.

It should not affect the measurement, so it keeps rows as the bytes to send, and a page is a join of them. It implements
the list contract as the listing needs it (``page``, ``size``, ``ordering=-session_id``,
``session_name``; count and number of pages on each page; 404 past the end) and the two writes that are measured. It
checks no key. Prints its port, then serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

LARGEST = 100  # rows on a page
TIME = "2024-09-12 15:13:22"


class Rows:
    """The live sessions, oldest first, each as its JSON; ids are 1, 2, 3 and so on."""

    def __init__(self, file: Path | None) -> None:
        self.rows: list[bytes] = file.read_bytes().splitlines() if file is not None else []
        self.calls = 0

    def page(self, query: dict[str, list[str]]) -> bytes:
        """A page as a whole answer."""
        number, size = int(query.get("page", ["1"])[0]), int(query.get("size", ["20"])[0])
        size = min(size, LARGEST)
        rows = self.rows
        if "session_name" in query:
            name = (
                b'"session_name":' + json.dumps(query["session_name"][0], ensure_ascii=False).encode() + b","
            )
            rows = [row for row in rows if name in row]
        pages = max(1, -(-len(rows) // size))
        if number > pages:
            return answer(404, b'{"message":"","status":404}')
        start = (number - 1) * size
        if query.get("ordering") == ["-session_id"]:
            end = len(rows) - start
            found = rows[max(0, end - size) : end][::-1]
        else:
            found = rows[start : start + size]
        head = b'{"message":"","status":200,"count":%d,"max_pages":%d,"current_page":%d,"results":['
        return answer(200, head % (len(rows), pages, number) + b",".join(found) + b"]}")

    def create(self, fields: dict[str, Any]) -> bytes:
        """A new session from flat fields."""
        session_id = len(self.rows) + 1
        row = {
            "session_id": session_id,
            "session_token": f"{session_id:08x}-0000-4000-8000-{session_id:012x}",
            "session_name": fields.get("session_name", ""),
            "session_config": _config({"data": {}}, fields),
            "session_remark": fields.get("session_remark", ""),
            "created_at": TIME,
            "updated_at": TIME,
        }
        self.rows.append(_dump(row))
        return answer(201, b'{"message":"","status":201,"data":' + self.rows[-1] + b"}")

    def update(self, fields: dict[str, Any]) -> bytes:
        """Change what is given, keep the rest."""
        session_id = int(fields.get("session_id", 0))
        if not 0 < session_id <= len(self.rows):
            return answer(404, b'{"message":"","status":404}')
        row = json.loads(self.rows[session_id - 1])
        _config(row["session_config"], fields)
        row.update({name: fields[name] for name in ("session_name", "session_remark") if name in fields})
        self.rows[session_id - 1] = _dump(row)
        return answer(200, b'{"message":"","status":200,"data":' + self.rows[session_id - 1] + b"}")


def _config(config: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("model", "prompt"):
        if name in fields:
            config[name] = fields[name]
    for name in ("max_tokens", "temperature", "history_length", "data"):
        if name in fields:
            value = fields[name]
            config[name] = json.loads(value) if isinstance(value, str) else value
    return config


def _dump(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def answer(status: int, body: bytes) -> bytes:
    """A whole HTTP answer."""
    return (
        b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (
            status,
            len(body),
        )
        + body
    )


class Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered when the latency is over."""

    def __init__(self, rows: Rows, latency: float) -> None:
        self.rows = rows
        self.latency = latency
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            headers = dict(
                line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:]
            )  # a value keeps its case only where it does not matter here
            length = int(headers.get(b"content-length", b"0"))
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            kind = head[head.lower().find(b"content-type:") :].split(b"\r\n", 1)[0] if body else b""
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.work, method, target, kind, body)
            else:
                self.work(method, target, kind, body)

    def work(self, method: str, target: str, kind: bytes, body: bytes) -> None:
        """Answer one request."""
        path, _, query = target.partition("?")
        self.rows.calls += 1
        if method == "GET":
            reply = self.rows.page(parse_qs(query))
        elif path.endswith("/update/"):
            reply = self.rows.update(_fields(kind, body))
        else:
            reply = self.rows.create(_fields(kind, body))
        self.transport.write(reply)


def _fields(kind: bytes, body: bytes) -> dict[str, Any]:
    if b"multipart/form-data" not in kind:
        return json.loads(body)
    boundary = b"--" + kind.partition(b"boundary=")[2].strip().strip(b'"')
    fields = {}
    for part in body.split(boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = head.partition(b'name="')[2].partition(b'"')[0]
        fields[name.decode()] = value[:-2].decode()
    return fields


def let_others_create(rows: Rows, rate: float) -> None:
    """Create sessions of other users, so many a second, from now on."""
    rows.create({"session_name": "a chat", "model": "deepseek-chat", "prompt": "Hi."})
    asyncio.get_running_loop().call_later(1 / rate, let_others_create, rows, rate)


async def serve(rows: Rows, latency: float, creates: float) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(rows, latency), "127.0.0.1", 0, backlog=1024)
    if creates:
        let_others_create(rows, creates)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, lambda: sys.stdin.readline() or ended.set())
    await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=Path, nargs="?", help="rows.jsonl; without it, nothing is live")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS")
    parser.add_argument("--creates", type=float, default=0.0, metavar="RATE", help="by others, a second")
    asked = parser.parse_args()
    asyncio.run(serve(Rows(asked.rows), asked.latency / 1000, asked.creates))


if __name__ == "__main__":
    main()
