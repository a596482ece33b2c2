"""The lower bound for the time of creates: sixteen bare connections, each sending the next create after an answer.

No library, no catalog, no journal; answers are not parsed. The time beyond the latency is that of the page server.
"""

from __future__ import annotations

import socket
import sys
import threading
from urllib.parse import urlsplit

CONNECTIONS = 16


def main(count: int, url: str) -> None:
    host = urlsplit(url)
    body = b'{"session_name":"a","model":"m","prompt":"%s","session_remark":"%s"}' % (b"p" * 600, b"r" * 150)
    head = b"POST /v1/session/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    request = head % len(body) + body
    left = iter(range(count))
    taking = threading.Lock()

    def work() -> None:
        with socket.create_connection((host.hostname or "", host.port or 80)) as line:
            while True:
                with taking:
                    if next(left, None) is None:
                        return
                line.sendall(request)
                if not line.recv(65536).startswith(b"HTTP/1.1 201"):
                    sys.exit("a create was not answered 201")

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{count} made")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
