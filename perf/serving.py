"""Load on `splitlaw serve`: latency, errors, memory, equality with direct generation, bad clients.

python perf/serving.py --folder EXPORTED --texts results/default/corpus --out serving.csv

A server is started on a free port. First, single requests measure the routing and one client's
latency. Then as many clients as `--clients` send requests for `--seconds`, while others break off,
send too much, send garbage or never end. Answers are compared with those of direct generation.

python perf/serving.py --folder EXPORTED --texts results/default/corpus --out ratio.csv --rounds 4

With `--rounds`, only the gain of answering together is measured: one client and many clients in
turn, `--seconds` for each, and the ratio of their tokens per second in each round. With `--other`,
the package of another checkout is measured in the same rounds.
"""

import argparse
import contextlib
import csv
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil

PACKAGE = Path(__file__).resolve().parent.parent / "workflow_scripts"
WARM_SECONDS = 20
"""Time after which memory is taken as the base: pools and caches have been filled by then."""


def read_prompts(corpus: Path, count: int) -> list[str]:
    """Beginnings of test documents of all domains, and some text of no domain."""
    from splitlaw.corpus.documents import read_documents

    generator = random.Random(0)
    texts = []
    for domain in sorted(folder.name for folder in corpus.iterdir() if folder.name != "router"):
        if (corpus / domain / "test.parquet").is_file() and domain != "general":
            _, batch = next(read_documents(corpus, domain, "test"))
            texts += [text[: generator.randint(10, 400)] for text in batch[: count // 4]]
    texts += ["Où est la gare ?", "", "7", "lorem ipsum dolor sit amet consectetur"]
    generator.shuffle(texts)
    return texts[:count]


class Server:
    """A running server."""

    def __init__(self, folder: Path, package: Path = PACKAGE) -> None:
        words = ["serve", str(folder), "--port", "0", "--name", "model", "--max-bytes", "20000"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "splitlaw", *words],
            cwd=package,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line.split("/v1")[0].rpartition(":")[2])

    def memory(self) -> int:
        """Resident memory in bytes."""
        return psutil.Process(self.process.pid).memory_info().rss

    def complete(self, connection: http.client.HTTPConnection, **request: object) -> dict:
        body = json.dumps({"model": "model", **request})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return content


def client(server: Server, prompts: list[str], number: int, until: float, found: list) -> None:
    """Send one request after another and append (prompt, seed, text, seconds) to `found`."""
    generator = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    while time.monotonic() < until:
        prompt, seed = generator.choice(prompts), generator.randrange(1 << 30)
        tokens = generator.choice([8, 16, 32])
        began = time.perf_counter()
        try:
            content = server.complete(connection, prompt=prompt, seed=seed, max_tokens=tokens)
        except Exception as error:
            found.append((prompt, seed, tokens, error, time.perf_counter() - began))
            connection.close()
            continue
        text = content["choices"][0]["text"]
        found.append((prompt, seed, tokens, text, time.perf_counter() - began))


def bad_clients(server: Server, until: float, counts: dict[str, int]) -> None:
    """Clients that break off, send too much, send garbage, or never end, one after another."""
    body = json.dumps({"model": "model", "prompt": "a", "stream": True, "max_tokens": 64}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
    kinds = {
        "killed": head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
        "oversized": head + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000,
        "malformed": head + b'Content-Length: 7\r\n\r\n{"a": [',
        "garbage": b"\x00\xff\x13garbage\r\n\r\n",
        "endless headers": head,
        "endless body": head + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
    }
    waiting = []
    while time.monotonic() < until:
        for kind, text in kinds.items():
            made = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            with contextlib.suppress(OSError):  # refused before the end
                made.sendall(text)
            counts[kind] = counts.get(kind, 0) + 1
            if kind.startswith("endless"):
                waiting.append(made)
            else:
                made.close()
        while len(waiting) > 20:
            waiting.pop(0).close()
        time.sleep(1)
    for made in waiting:
        made.close()


def measure(
    folder: Path, prompts: list[str], clients: int, seconds: float, compared: int
) -> dict[str, float]:
    from splitlaw.delivery.routed import RoutedModel

    model = RoutedModel.from_pretrained(folder)
    routing = []
    for prompt in prompts:
        # Time of the processor, which other processes of the machine do not lengthen.
        began = time.process_time()
        model.route([prompt])
        routing.append(time.process_time() - began)
    server = Server(folder)
    alone: list = []
    client(server, prompts, 10**6, time.monotonic() + 5, alone)
    until = time.monotonic() + seconds
    found: list[list] = [[] for _ in range(clients)]
    counts: dict[str, int] = {}
    threads = [
        threading.Thread(target=client, args=(server, prompts, n, until, found[n]))
        for n in range(clients)
    ]
    threads.append(threading.Thread(target=bad_clients, args=(server, until, counts)))
    for thread in threads:
        thread.start()
    time.sleep(min(WARM_SECONDS, seconds / 2))
    base = server.memory()
    for thread in threads:
        thread.join()
    grown = server.memory() - base
    after: list = []
    client(server, prompts, 10**7, time.monotonic() + 2, after)
    server.process.terminate()
    server.process.wait()
    answers = [one for part in (alone, *found, after) for one in part]
    errors = [one for one in answers if isinstance(one[3], Exception)]
    for one in errors[:5]:
        print("error:", one, file=sys.stderr)
    different = 0
    compared = random.Random(0).sample(answers, min(compared or len(answers), len(answers)))
    for prompt, seed, tokens, text, _ in compared:
        if not isinstance(text, Exception):
            different += [text] != model.generate([prompt], seed=seed, max_tokens=tokens)
    latency = np.array([one[4] for part in found for one in part])
    generated = sum(one[2] for part in found for one in part)
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": len(latency),
        "errors": len(errors),
        "compared_answers": len(compared),
        "different_answers": different,
        "requested_tokens_per_second": generated / seconds,
        "p50_seconds": float(np.quantile(latency, 0.5)),
        "p99_seconds": float(np.quantile(latency, 0.99)),
        "alone_p50_seconds": float(np.median([one[4] for one in alone])),
        "after_requests": len(after),
        "memory_mb": base / 1e6,
        "memory_growth_mb": grown / 1e6,
        "routing_p50_ms": 1e3 * float(np.quantile(routing, 0.5)),
        "routing_p99_ms": 1e3 * float(np.quantile(routing, 0.99)),
        **{f"bad_{kind.replace(' ', '_')}": count for kind, count in counts.items()},
    }


def tokens_per_second(server: Server, prompts: list[str], clients: int, seconds: float) -> float:
    """Requested tokens of the answers that clients get at the same time."""
    found: list[list] = [[] for _ in range(clients)]
    began = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(server, prompts, n, began + seconds, found[n]))
        for n in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = [one for part in found for one in part]
    errors = [one for one in answers if isinstance(one[3], Exception)]
    assert not errors, errors[0]
    return sum(one[2] for one in answers) / (time.monotonic() - began)


def measure_ratio(
    packages: dict[str, Path], folder: Path, prompts: list[str], clients: int, args: Namespace
) -> dict[str, float]:
    """Medians over rounds, in which all servers are measured under the same load of the machine."""
    servers = {name: Server(folder, package) for name, package in packages.items()}
    speeds: dict[tuple[str, int], list[float]] = {}
    for number in range(args.rounds + 1):
        for name, server in servers.items():
            for count in (1, clients):
                speed = tokens_per_second(server, prompts, count, args.seconds)
                if number:  # the first round warms up
                    speeds.setdefault((name, count), []).append(speed)
    for server in servers.values():
        server.process.terminate()
        server.process.wait()
    result: dict[str, float] = {"clients": clients, "rounds": args.rounds, "seconds": args.seconds}
    for (name, count), found in speeds.items():
        result[f"{name}_tokens_per_second_{count}"] = float(np.median(found))
    for name in servers:
        ratio = np.array(speeds[name, clients]) / speeds[name, 1]
        result[f"{name}_ratio_of_clients"] = float(np.median(ratio))
    for name in list(servers)[1:]:
        for count in (1, clients):
            ratio = np.array(speeds["own", count]) / speeds[name, count]
            result[f"own_over_{name}_{count}"] = float(np.median(ratio))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True, help="folder of a corpus")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--compared", type=int, default=0, help="answers to compare (all)")
    parser.add_argument("--rounds", type=int, default=0, help="measure only the ratio")
    parser.add_argument("--other", type=Path, help="workflow_scripts of another checkout")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    prompts = read_prompts(args.texts, 200)
    folder = args.folder.resolve()
    if args.rounds:
        packages = {"own": PACKAGE} | ({"other": args.other} if args.other else {})
        found = measure_ratio(packages, folder, prompts, args.clients, args)
    else:
        found = measure(folder, prompts, args.clients, args.seconds, args.compared)
    with args.out.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["measure", "value"])
        for name, value in found.items():
            writer.writerow([name, round(value, 4)])
            print(f"{name:30} {value:.4f}")


if __name__ == "__main__":
    main()
