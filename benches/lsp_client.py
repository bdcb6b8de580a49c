"""A scripted LSP client over pipes that takes times, memory and CPU of the server it started."""
import itertools
import json
import os
import re
import select
import subprocess
import time
from pathlib import Path

TIMEOUT_S = 30


class LspClient:
    """One server over pipes. It reads while it writes, so neither side can block the other."""

    def __init__(self, command, home, environment):
        environment = {**os.environ, "HOME": str(home), **environment}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0, env=environment, cwd=home)
        os.set_blocking(self.process.stdin.fileno(), False)
        self.received, self.outgoing, self.responses = bytearray(), bytearray(), {}
        self.ids = itertools.count(1)

    def initialize(self, root, options):
        capabilities = {
            "general": {"positionEncodings": ["utf-8", "utf-16"]},
            "textDocument": {"inlineCompletion": {}, "completion": {"contextSupport": True}, "synchronization": {}},
        }
        result, _ = self.request("initialize", {
            "processId": os.getpid(), "rootUri": root, "capabilities": capabilities, "initializationOptions": options,
            "workspaceFolders": [{"uri": root, "name": "root"}],
        })
        self.notify("initialized", {})
        return result

    def notify(self, method, params):
        self.outgoing += frame({"method": method, **({"params": params} if params is not None else {})})
        self._exchange(None)

    def request(self, method, params, change=None):
        """The result, and the milliseconds from writing to having read it; a `change` leaves in the same write."""
        number = next(self.ids)
        if change:
            self.outgoing += frame({"method": "textDocument/didChange", "params": change})
        self.outgoing += frame({"id": number, "method": method, **({"params": params} if params is not None else {})})
        start = time.perf_counter()
        self._exchange(number)
        response, arrived = self.responses.pop(number)
        if "error" in response:
            raise RuntimeError(f"{method} answered {response['error']}")
        return response["result"], (arrived - start) * 1e3

    def close(self):
        self.request("shutdown", None)
        self.notify("exit", None)
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def memory_mb(self):
        """(resident now, resident at its peak)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024 for field in ("VmRSS", "VmHWM"))

    def cpu_ms(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def _exchange(self, wanted):
        """Writes all that is due and reads what comes, until the response to `wanted` (if any) is there."""
        stdin, stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        while self.outgoing or (wanted is not None and wanted not in self.responses):
            readable, writable, _ = select.select([stdout], [stdin] if self.outgoing else [], [], TIMEOUT_S)
            if not readable and not writable:
                raise TimeoutError(f"no answer from {self.process.args[0]} within {TIMEOUT_S} s")
            if writable:
                del self.outgoing[:os.write(stdin, self.outgoing[:1 << 16])]
            if readable:
                data = os.read(stdout, 1 << 16)
                if not data:
                    raise EOFError(f"{self.process.args[0]} ended")
                self.received += data
                self._take_messages(time.perf_counter())

    def _take_messages(self, now):
        while True:
            head, separator, rest = self.received.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1]) if separator else 0
            if not separator or len(rest) < length:
                return
            message = json.loads(rest[:length])
            self.received = rest[length:]
            if "method" not in message:
                self.responses[message["id"]] = (message, now)
            elif "id" in message:
                items = (message.get("params") or {}).get("items")
                self.outgoing += frame({"id": message["id"], "result": [None] * len(items) if items else None})


def frame(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
