"""A completion backend that answers at once, for measuring what a language server adds to its model."""
import http.client
import json
import multiprocessing
import re
import selectors
import socket
import time

ANSWER = " + offset;"
TIMEOUT_S = 30


def serve_stub(listener):
    """Speaks just enough HTTP/1.1 to be an Ollama that answers at once. GET tells, and forgets, what was asked."""
    body = json.dumps({"model": "stub", "created_at": "2026-01-01T00:00:00Z", "response": ANSWER, "done": True})
    answer = http_response(body.encode())
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    pending, log = {}, []
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                continue
            connection, now = key.fileobj, time.perf_counter()
            data = connection.recv(1 << 20)
            if not data:
                selector.unregister(connection)
                pending.pop(connection, None)
                connection.close()
                continue
            received, start = pending.pop(connection, (b"", now))
            request = parse_http(received + data)
            if request is None:
                pending[connection] = (received + data, start)
            elif request[0] == "GET":
                connection.sendall(http_response(json.dumps(log).encode()))
                log = []
            else:
                connection.sendall(answer)
                log.append({"ms": (time.perf_counter() - start) * 1e3, "prompt": json.loads(request[1])["prompt"]})


def parse_http(data):
    """(method, body) once the whole request is there, else None."""
    head, separator, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    if not separator or len(body) < (int(length[1]) if length else 0):
        return None
    return head.split(b" ", 1)[0].decode(), body


def http_response(body):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Stub:
    """The stub in a process of its own, so that it shares no interpreter lock with the client that takes the times."""

    def __init__(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = multiprocessing.Process(target=serve_stub, args=(listener,), daemon=True)
        self.process.start()
        listener.close()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    def take(self):
        """What was asked since the last call: the stub's own milliseconds and the prompt, oldest first."""
        self.connection.request("GET", "/log")
        return json.load(self.connection.getresponse())

    def bare_round_trip_ms(self, repeats=200):
        """Milliseconds of 4 KB POSTs over one kept connection, less the stub's own: what HTTP alone costs here."""
        body, times = json.dumps({"prompt": "x" * 4096}), []
        for _ in range(repeats):
            start = time.perf_counter()
            self.connection.request("POST", "/api/generate", body)
            self.connection.getresponse().read()
            times.append((time.perf_counter() - start) * 1e3)
        own = [call["ms"] for call in self.take()]
        return [total - stub for total, stub in zip(times, own, strict=True)]
