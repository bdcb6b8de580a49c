#!/usr/bin/env python3
"""Lacuna's language server beside two open-source neighbours, lsp-ai and llm-ls, driven by the same client: what a
request costs besides the model, memory for 40 open documents, process start to first answer. Python's standard library
only. No model takes part: the neighbours ask a stub over HTTP that answers at once, and Lacuna runs a scripted engine
that answers at once in its own process.

    cargo build --release -p lacuna-tests --bin lacuna-scripted
    cargo install lsp-ai --version 0.7.0 --locked
    git clone https://github.com/huggingface/llm-ls && cd llm-ls \\
        && git checkout 1c52b94f30fa8293741d8b68c7fa48074b7f6589 && cargo build --release --locked -p llm-ls
    python3 benches/neighbours.py --lsp-ai PATH --llm-ls PATH [--json benches/results/neighbours.json]

The machine may be noisy: all servers run in the same minutes, rounds turn their order, figures are medians and
percentiles over all rounds, and the ratios are medians of the rounds' own ratios. Times go from writing the request to
having read its response; *overhead* is that minus the time of what stands in for the model (the stub: first byte read
to answer written; the scripted engine: call to return). "with the edit": the change and the request leave in one write,
so applying the change counts; "40 ms later": the request follows as an editor's would, so only its own path counts.

What is not like for like: a neighbour's path includes an HTTP round trip on the loopback (its bare cost is printed) and
Lacuna's does not; lsp-ai keeps no syntax tree and builds a fresh HTTP client for each request; llm-ls and Lacuna
parse at each change; Lacuna also parses what comes back and looks into the other open documents for context. lsp-ai's
limit of one request a second is lifted. llm-ls runs without a tokenizer and counts bytes, as llm.nvim sets it up, with
4096 of them, which is lsp-ai's default of 1024 tokens by its estimate of 4 characters each; Lacuna's scripted engine
counts words. Memory is the server's process: with --shipped also that of `lacuna lsp` with its own model inside, where
a neighbour's model would live in another process.
"""
import argparse
import itertools
import json
import math
import os
import platform
import random
import re
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable

from lsp_client import TIMEOUT_S, LspClient
from stub_backend import ANSWER, Stub

SHIPPED = "lacuna, its own model"
ROOT = Path(__file__).resolve().parent.parent
WORK_LINE = "    let measured = a"
FIM = {"prefix": "<fim_prefix>", "suffix": "<fim_suffix>", "middle": "<fim_middle>"}


@dataclass(frozen=True)
class Profile:
    """How one server is started and asked: its normal path, with the settings this file's head explains."""

    name: str
    command: list
    settings: dict
    method: str
    params: Callable  # (uri, position) -> params of a request
    texts: Callable  # result -> the proposed texts
    backend: object = None  # what answers in a model's place: its take() tells what it was asked and how long it took
    environment: dict = field(default_factory=dict)


class ScriptedEngine:
    """Lacuna's engine in a model's place; it runs in the server's process and can write down what it was asked."""

    def __init__(self, record=None):
        self.record, self.read = record, 0
        script = {"candidates": [ANSWER], "record": str(record) if record else None}
        self.environment = {"LACUNA_TEST_SCRIPT": json.dumps(script)}

    def take(self):
        """What was asked since the last call, oldest first, as the stub tells it."""
        lines = self.record.read_text(encoding="utf-8").splitlines()
        new, self.read = [json.loads(line) for line in lines[self.read:]], len(lines)
        ends = {line["number"]: line["at_us"] for line in new if line["event"] == "end"}
        return [{"ms": (ends[line["number"]] - line["at_us"]) / 1e3, "prompt": line["tail"] + line["head"]}
                for line in new if line["event"] == "start"]


def lacuna(name, command, engine=None):
    return Profile(
        name, command, {}, "textDocument/inlineCompletion",
        lambda uri, position: {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}},
        lambda result: [item["insertText"] for item in result["items"]],
        backend=engine, environment=engine.environment if engine else {},
    )


def lsp_ai(binary, stub):
    fim = {"start": FIM["prefix"], "middle": FIM["suffix"], "end": FIM["middle"]}
    settings = {
        "memory": {"file_store": {}},
        "models": {"stub": {"type": "ollama", "model": "stub", "generate_endpoint": f"{stub.url}/api/generate",
                            "max_requests_per_second": 1e6}},
        "completion": {"model": "stub", "parameters": {"max_context": 1024, "fim": fim}},
    }
    return Profile(
        "lsp-ai", [binary], settings, "textDocument/completion",
        lambda uri, position: {"textDocument": {"uri": uri}, "position": position},
        lambda result: [item["textEdit"]["newText"] for item in result["items"]],
        backend=stub,
    )


def llm_ls(binary, stub):
    settings = {
        "ide": "neovim", "fim": {"enabled": True, **FIM}, "model": "stub", "backend": "ollama", "url": stub.url,
        "apiToken": None, "tokensToClear": ["<|endoftext|>"], "tokenizerConfig": None, "contextWindow": 4096,
        "tlsSkipVerifyInsecure": False, "requestBody": {}, "disableUrlPathCompletion": False,
    }
    return Profile(
        "llm-ls", [binary], settings, "llm-ls/getCompletions",
        lambda uri, position: {"textDocument": {"uri": uri}, "position": position, **settings},
        lambda result: [completion["generated_text"] for completion in result["completions"]],
        backend=stub,
    )


def blocks():
    """The top-level items of the repository's own Rust sources, as text without blank lines around."""
    for path in sorted(path for crate in ("server", "model") for path in (ROOT / crate).rglob("*.rs")):
        for block in re.split(r"\n\n(?=\S)", path.read_text(encoding="utf-8")):
            if not block.startswith("//!"):
                yield block.strip("\n")


def document(source, lines):
    """(text, line to type in): whole items, and in the middle a function with one unfinished statement."""
    parts, total, work = [], 0, None
    while total < lines:
        if work is None and total >= lines // 2:
            parts.append(f"fn measure() {{\n{WORK_LINE}\n}}")
            work, total = total + 1, total + 4
        block = next(source)
        parts.append(block)
        total += block.count("\n") + 2
    return "\n\n".join(parts) + "\n", work


class Typist:
    """Types into one document: a letter a change at the end of one statement, which is cut back when it grows long.
    No letter is one that the proposal starts with, so nothing can be answered from an earlier proposal."""

    def __init__(self, uri, text, work):
        self.uri, self.text, self.work = uri, text, work
        self.line, self.version = WORK_LINE, 1
        self.letters = random.Random(uri)

    def opening(self):
        return {"textDocument": {"uri": self.uri, "languageId": "rust", "version": 1, "text": self.text}}

    def change(self):
        end = len(self.line)
        start = end if end < 60 else len(WORK_LINE)
        letter = self.letters.choice(string.ascii_lowercase)
        self.line, self.version = self.line[:start] + letter, self.version + 1
        edges = [{"line": self.work, "character": column} for column in (start, end)]
        return {"textDocument": {"uri": self.uri, "version": self.version},
                "contentChanges": [{"range": {"start": edges[0], "end": edges[1]}, "text": letter}]}

    def position(self):
        return {"line": self.work, "character": len(self.line)}


class Session:
    """One running server with its open documents."""

    def __init__(self, profile, folder):
        self.profile, self.folder, self.typists = profile, folder, {}
        self.client = LspClient(profile.command, folder, profile.environment)
        self.server = self.client.initialize(folder.as_uri(), profile.settings).get("serverInfo")

    def open(self, name, text, work):
        typist = self.typists[name] = Typist((self.folder / f"{name}.rs").as_uri(), text, work)
        self.client.notify("textDocument/didOpen", typist.opening())
        return typist

    def ask(self, typist, change=None):
        """(the proposed texts, milliseconds)."""
        params = self.profile.params(typist.uri, typist.position())
        result, elapsed_ms = self.client.request(self.profile.method, params, change)
        return self.profile.texts(result), elapsed_ms

    def first_answer(self, typist):
        """Asks until there is a proposal: a server may answer empty while it still loads."""
        deadline = time.monotonic() + TIMEOUT_S
        while not any(self.ask(typist)[0]):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.profile.name} proposed nothing within {TIMEOUT_S} s")
            self.client.notify("textDocument/didChange", typist.change())


def percentiles(values):
    ordered = sorted(values)
    rank = {f"p{q}": ordered[math.ceil(q / 100 * len(ordered)) - 1] for q in (50, 95, 99)}
    return {name: round(value, 3) for name, value in {**rank, "max": ordered[-1]}.items()}


def measure_starts(profiles, folder, text, arguments):
    """Process start to the answer of `initialize`, and to the first proposal in a document of 500 lines."""
    times = {profile.name: [] for profile in profiles}
    for run in range(arguments.starts):
        for profile in turned(profiles, run):
            start = time.perf_counter()
            session = Session(profile, folder)
            initialized = time.perf_counter()
            session.first_answer(session.open("first", *text))
            times[profile.name].append(((initialized - start) * 1e3, (time.perf_counter() - start) * 1e3))
            session.client.close()
    return {name: {"initialize_ms": round(statistics.median(first for first, _ in runs), 1),
                   "first_answer_ms": round(statistics.median(last for _, last in runs), 1),
                   "first_answer_ms_max": round(max(last for _, last in runs), 1), "runs": len(runs)}
            for name, runs in times.items()}


def turned(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def settled_mb(client):
    """Memory once it has not moved for half a second (five seconds at most): background work may follow an answer."""
    before = None
    for _ in range(10):
        now = client.memory_mb()
        if now == before:
            break
        before = now
        time.sleep(0.5)
    return now


def measure_memory(profile, folder, texts, arguments):
    """Resident and peak megabytes: fresh, with all documents open, and after edits and requests spread over them."""
    session = Session(profile, folder)
    figures = {"initialized": settled_mb(session.client)}
    typists = [session.open(f"memory_{number:02}", *text) for number, text in enumerate(texts)]
    session.first_answer(typists[-1])
    figures["opened"] = settled_mb(session.client)
    per_request = arguments.edits // arguments.memory_requests
    for number, typist in zip(range(arguments.memory_requests), itertools.cycle(typists)):
        for _ in range(per_request):
            session.client.notify("textDocument/didChange", typist.change())
        session.ask(typist)
    figures["worked"] = settled_mb(session.client)
    session.client.close()
    return figures


def measure_memories(profiles, folder, texts, arguments):
    memory = {profile.name: [] for profile in profiles}
    for run in range(arguments.memory_runs):
        for profile in turned(profiles, run):
            memory[profile.name].append(measure_memory(profile, folder, texts, arguments))
    return {name: memory_figures(runs) for name, runs in memory.items()}


def memory_figures(runs):
    """Medians over the runs of one server."""
    def median(moment, column):
        return round(statistics.median(run[moment][column] for run in runs), 1)

    return {"initialized_mb": median("initialized", 0), "opened_mb": median("opened", 0),
            "opened_peak_mb": median("opened", 1), "worked_mb": median("worked", 0),
            "worked_peak_mb": median("worked", 1), "runs": len(runs)}


@dataclass
class Sample:
    total_ms: float
    backend_ms: float
    answered: bool
    latest: bool  # whether the prompt held the last edit


def sample(session, typist, pause_s):
    change = typist.change()
    if pause_s:
        session.client.notify("textDocument/didChange", change)
        time.sleep(pause_s)
        change = None
    texts, total_ms = session.ask(typist, change)
    calls = session.profile.backend.take()
    latest = bool(calls) and typist.line in calls[-1]["prompt"]
    return Sample(total_ms, sum(call["ms"] for call in calls), any(texts), latest)


def measure_requests(sessions, name, pause_s, arguments):
    """Samples and CPU milliseconds per server, in rounds: {name: [(samples, cpu_ms), ...]}."""
    rounds = {session.profile.name: [] for session in sessions}
    for session in sessions:
        for _ in range(arguments.per_round):  # warm-up, not counted
            sample(session, session.typists[name], pause_s)
    for number in range(arguments.rounds):
        for session in turned(sessions, number):
            cpu = session.client.cpu_ms()
            samples = [sample(session, session.typists[name], pause_s) for _ in range(arguments.per_round)]
            rounds[session.profile.name].append((samples, session.client.cpu_ms() - cpu))
    return rounds


def request_figures(rounds):
    samples = [sample for samples, _ in rounds for sample in samples]
    return {
        "requests": len(samples), "answered": sum(sample.answered for sample in samples),
        "from_latest_text": sum(sample.latest for sample in samples),
        "total_ms": percentiles([sample.total_ms for sample in samples]),
        "backend_ms": percentiles([sample.backend_ms for sample in samples]),
        "overhead_ms": percentiles([sample.total_ms - sample.backend_ms for sample in samples]),
        "cpu_ms_per_request": round(sum(cpu for _, cpu in rounds) / len(samples), 2),
    }


def ratio(theirs, ours):
    """Median over the rounds of their median overhead over ours."""
    def medians(rounds):
        return [statistics.median(sample.total_ms - sample.backend_ms for sample in samples) for samples, _ in rounds]

    return round(statistics.median(a / b for a, b in zip(medians(theirs), medians(ours), strict=True)), 2)


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_kb = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    return {"cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_gb": round(memory_kb / 2**20), "system": f"{platform.system()} {platform.machine()}",
            "load_at_start": round(os.getloadavg()[0], 2)}


def version(profile):
    """What the binary says of itself; for Lacuna's scripted server the last commit of the checkout's server and model."""
    if profile.name != "lacuna":
        return output_of([profile.command[0], "--version"])
    changed = output_of(["git", "-C", str(ROOT), "status", "--porcelain", "--", "server", "model"])
    commit = output_of(["git", "-C", str(ROOT), "log", "-1", "--format=%h", "--", "server", "model"])
    return f"{commit} with changes" if changed else commit


def output_of(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def show(figures):
    for kind, servers in figures["requests"].items():
        print(f"\n{kind}\n  {'':16}{'total p50':>10}{'model p50':>10}{'overhead p50':>14}{'p95':>9}{'p99':>9}"
              f"{'CPU ms':>8}  answered, from the latest text")
        for name, row in servers.items():
            over = row["overhead_ms"]
            print(f"  {name:16}{row['total_ms']['p50']:10.2f}{row['backend_ms']['p50']:10.2f}{over['p50']:14.2f}"
                  f"{over['p95']:9.2f}{over['p99']:9.2f}{row['cpu_ms_per_request']:8.2f}"
                  f"  {row['answered']} and {row['from_latest_text']} of {row['requests']}")
    for kind, ratios in figures["overhead_ratio_to_lacuna"].items():
        print(f"{kind}: overhead over Lacuna's: " + ", ".join(f"{name} {value}x" for name, value in ratios.items()))
    print(f"bare HTTP round trip without the stub's time: p50 {figures['bare_http_ms']['p50']} ms")
    print(f"\n  {'':22}{'fresh MB':>10}{'40 open':>10}{'(peak)':>10}{'after work':>12}{'(peak)':>10}")
    for name, row in figures["memory"].items():
        print(f"  {name:22}{row['initialized_mb']:10.1f}{row['opened_mb']:10.1f}{row['opened_peak_mb']:10.1f}"
              f"{row['worked_mb']:12.1f}{row['worked_peak_mb']:10.1f}")
    print()
    for name, row in figures["start"].items():
        print(f"  {name:22} start to initialize {row['initialize_ms']:7.1f} ms, to first answer "
              f"{row['first_answer_ms']:7.1f} ms (max {row['first_answer_ms_max']:.1f}, {row['runs']} runs)")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lacuna", default=str(ROOT / "target" / "release" / "lacuna-scripted"))
    parser.add_argument("--shipped", help="also the memory and start of this `lacuna` with its built-in model")
    parser.add_argument("--lsp-ai", default=shutil.which("lsp-ai"))
    parser.add_argument("--llm-ls", default=shutil.which("llm-ls"))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--per-round", type=int, default=20)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--memory-runs", type=int, default=3)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--memory-requests", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    return parser.parse_args()


def all_request_measures(profiles, folder, texts, arguments):
    """The figures and the ratios of each kind of request, all servers alive side by side."""
    sessions = [Session(profile, folder) for profile in profiles]
    figures, ratios = {}, {}
    pauses_s = {"with the edit": 0, "40 ms later": 0.04}
    for (name, text), (label, pause_s) in itertools.product(texts.items(), pauses_s.items()):
        for session in sessions:
            if name not in session.typists:
                session.first_answer(session.open(name, *text))
            session.profile.backend.take()
        rounds = measure_requests(sessions, name, pause_s, arguments)
        kind = f"{name} lines, request {label}"
        figures[kind] = {server: request_figures(samples) for server, samples in rounds.items()}
        ratios[kind] = {server: ratio(samples, rounds["lacuna"])
                        for server, samples in rounds.items() if server != "lacuna" and "lacuna" in rounds}
    for session in sessions:
        session.client.close()
    return figures, ratios


def main():
    arguments = parse_arguments()
    stub = Stub()
    source = itertools.cycle(blocks())
    forty = [document(source, 500) for _ in range(40)]
    texts = {"500": forty[0], "20000": document(source, 20000)}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        ours, recording = (lacuna("lacuna", [arguments.lacuna], ScriptedEngine(record))
                           for record in (None, folder / "record.jsonl"))
        made = ((lsp_ai, arguments.lsp_ai), (llm_ls, arguments.llm_ls))
        theirs = [make(binary, stub) for make, binary in made if binary]
        shipped = [lacuna(SHIPPED, [arguments.shipped, "lsp"])] if arguments.shipped else []
        profiles = [ours, *theirs]
        figures = {
            "date": datetime.now(timezone.utc).date().isoformat(), "machine": machine(),
            "versions": {profile.name: version(profile) for profile in profiles + shipped},
            "settings": {profile.name: profile.settings for profile in profiles},
            "documents": {"count": 40, "lines": round(statistics.mean(text.count("\n") for text, _ in forty)),
                          "bytes": round(statistics.mean(len(text) for text, _ in forty))},
            "start": measure_starts(profiles + shipped, folder, forty[0], arguments),
            "memory": measure_memories(profiles + shipped, folder, forty, arguments),
        }
        stub.take()
        figures["bare_http_ms"] = percentiles(stub.bare_round_trip_ms())
        figures["requests"], figures["overhead_ratio_to_lacuna"] = all_request_measures(
            [recording, *theirs], folder, texts, arguments)
    figures["machine"]["load_at_end"] = round(os.getloadavg()[0], 2)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2).replace(stub.url, "http://stub") + "\n")
    return complain(figures)


def complain(figures):
    """The exit status: 1, with the cases named, where a server did not answer or not from the latest text."""
    bad = [f"{kind}, {name}" for kind, servers in figures["requests"].items() for name, row in servers.items()
           if min(row["answered"], row["from_latest_text"]) < row["requests"]]
    for case in bad:
        print(f"not every request had a proposal from the latest text: {case}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
