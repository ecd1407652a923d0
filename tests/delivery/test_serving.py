"""The server answers as direct generation does, within its limits, and survives its clients."""

import asyncio
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.delivery.chat import chat
from splitlaw.delivery.decoding import Sampling
from splitlaw.delivery.engine import Busy, Engine, Ticket
from splitlaw.delivery.serving import listen

PACKAGE = Path(__file__).parents[2] / "workflow_scripts"
LAW, MEDICINE = "law1 law2 law3 the law4", "medicine3 of medicine4"
BOTH = "law1 law2 medicine3 medicine1 law5 medicine9"
LIMITS = ["--max-bytes", "5000", "--max-requests", "8", "--max-seconds", "20"]


def start(folder, *words):
    """A server of the folder at a free port, and the port."""
    server = subprocess.Popen(
        [sys.executable, "-m", "splitlaw", "serve", str(folder), "--port", "0", *words],
        cwd=PACKAGE,
        stdout=subprocess.PIPE,
        text=True,
    )
    line = server.stdout.readline()
    assert line.startswith("Serving routed at http://127.0.0.1:"), line
    return server, int(line.split("/v1")[0].rpartition(":")[2])


@pytest.fixture(scope="module")
def port(routed_folder):
    server, port = start(routed_folder, *LIMITS)
    yield port
    assert server.poll() is None, "the server has ended"
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=60) == 0


def post(port, path, content, method="POST"):
    """Status and body of an answer; `content` is bytes or JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = content if isinstance(content, bytes) else json.dumps(content)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    return answer.status, found


def complete(port, **more):
    status, body = post(port, "/v1/completions", {"model": "routed", "prompt": LAW, **more})
    return status, json.loads(body)


def test_every_answer_is_that_of_direct_generation(port, routed):
    """Requests join and leave the batch of a model at any token, also those for an ensemble."""
    prompts = {LAW: ["law"], MEDICINE: ["medicine"], BOTH: ["law", "medicine"], "quux": ["general"]}
    asked = [(prompt, seed, 3 + 9 * seed) for seed in range(4) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda a: complete(port, prompt=a[0], seed=a[1], max_tokens=a[2]), asked)
        )
    for (prompt, seed, tokens), (status, content) in zip(asked, answers, strict=True):
        assert status == 200
        choice = content["choices"][0]
        assert [choice["text"]] == routed.generate([prompt], seed=seed, max_tokens=tokens)
        assert choice["finish_reason"] in ("stop", "length")
        assert content["seed"] == seed and list(content["routing"]) == prompts[prompt]
        used = content["usage"]
        assert used["completion_tokens"] <= tokens and used["prompt_tokens"] > 1


def test_a_stream_has_the_parts_of_the_answer(port, routed):
    for path, prompt in (
        ("/v1/completions", {"prompt": LAW}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": LAW}]}),
    ):
        request = {"model": "routed", **prompt, "seed": 3, "max_tokens": 9, "stream": True}
        status, body = post(port, path, request)
        events = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
        assert status == 200 and events[-1] == "[DONE]"
        choices = [json.loads(event)["choices"][0] for event in events[:-1]]
        text = "".join(c["text"] if "text" in c else c["delta"]["content"] for c in choices)
        assert [text] == routed.generate([LAW], seed=3, max_tokens=9)
        assert [c["finish_reason"] for c in choices][-1] in ("stop", "length")


def test_the_messages_of_a_chat_are_continued(port, routed):
    messages = [{"role": "system", "content": "law1"}, {"role": "user", "content": "law2 law3"}]
    request = {"model": "routed", "messages": messages, "seed": 1, "max_completion_tokens": 5}
    status, body = post(port, "/v1/chat/completions", request)
    message = json.loads(body)["choices"][0]["message"]
    assert status == 200 and message["role"] == "assistant"
    assert [message["content"]] == routed.generate(["law1\n\nlaw2 law3"], seed=1, max_tokens=5)


def test_the_model_is_listed(port):
    status, body = post(port, "/v1/models", b"", method="GET")
    found = json.loads(body)["data"]
    assert status == 200 and [model["id"] for model in found] == ["routed"]
    assert found[0]["domains"] == ["law", "medicine"]


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"{", 400, "body: Invalid JSON"),
        (b"\xff\xfe", 400, "body: Invalid JSON"),
        ({"model": "routed"}, 400, "prompt: Field required"),
        ({"model": "other", "prompt": "a"}, 404, "there is no 'other'; ask for 'routed'"),
        ({"model": "routed", "prompt": ["a", "b"]}, 400, "there are 2 prompts; give one"),
        ({"model": "routed", "prompt": "a", "n": 2}, 400, "n: Input should be 1"),
        ({"model": "routed", "prompt": "a", "max_tokens": 32}, 400, "give 1 to 31"),
        ({"model": "routed", "prompt": "a", "temperature": -1}, 400, "temperature: Input should"),
        ({"model": "routed", "prompt": "a", "stop": [""]}, 400, "none of them empty"),
        ({"model": "routed", "prompt": "a" * 5000}, 413, "more than 5000 bytes"),
    ],
)
def test_requests_that_cannot_be_answered_get_a_message(port, content, status, message):
    found, body = post(port, "/v1/completions", content)
    assert found == status and message in json.loads(body)["error"]["message"]


def test_other_addresses_and_methods_get_a_message(port):
    for method, path, status in (("POST", "/v1/embeddings", 404), ("GET", "/v1/completions", 405)):
        found, body = post(port, path, b"", method=method)
        message = json.loads(body)["error"]["message"]
        assert found == status and message.startswith(f"{method} {path}: ")
        assert "there are GET /v1/models, POST /v1/completions" in message


def test_more_requests_than_the_limit_are_refused(port):
    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda _: complete(port, max_tokens=31), range(24)))
    assert {status for status, _ in found} == {200, 429}


def test_the_engine_gives_up_requests_that_are_late_or_too_many(routed):
    async def answers():
        engine = Engine(routed, requests=1)
        sampling = Sampling(max_tokens=5)
        late, on_time, third = (
            Ticket(
                prompt=LAW,
                weights=routed.route([LAW])[0],
                sampling=sampling,
                parts=True,
                deadline=deadline,
                loop=asyncio.get_running_loop(),
            )
            for deadline in (0.0, time.monotonic() + 60, 0.0)
        )
        engine.submit(late)
        first = await late.updates.get()
        while True:
            with suppress(Busy):
                engine.submit(on_time)
                break
            await asyncio.sleep(0.001)
        with pytest.raises(Busy):
            engine.submit(third)
        while not (update := await on_time.updates.get())[1]:
            pass
        engine.close()
        return first, update

    # A browser that another test of this process keeps open has an event loop in the main thread.
    with ThreadPoolExecutor(1) as pool:
        late, update = pool.submit(asyncio.run, answers()).result()
    assert isinstance(late, TimeoutError)
    assert [update[0]] == routed.generate([LAW], max_tokens=5)


def test_an_answer_goes_on_while_short_requests_keep_coming(routed):
    async def answers():
        engine = Engine(routed, requests=64)
        finished, loop = 0, asyncio.get_running_loop()

        def ticket(kind, tokens):
            return kind(
                prompt=LAW,
                weights=routed.route([LAW])[0],
                sampling=Sampling(max_tokens=tokens),
                parts=tokens > 1,
                deadline=time.monotonic() + 60,
                loop=loop,
            )

        class Repeated(Ticket):
            """Asks again at once, from the engine's thread, so that the queue is never empty."""

            def send(self, update):
                nonlocal finished
                finished += 1
                if finished < 1000:
                    engine.submit(ticket(Repeated, 1))

        class Left(Ticket):
            """Its client goes after the first token."""

            def send(self, update):
                self.cancelled = True
                super().send(update)

        long, left = ticket(Ticket, 20), ticket(Left, 20)
        engine.submit(long)
        engine.submit(left)
        for _ in range(4):
            engine.submit(ticket(Repeated, 1))
        while not (update := await asyncio.wait_for(long.updates.get(), 60))[1]:
            pass
        among = finished
        engine.close()
        return update, among, [left.updates.get_nowait() for _ in range(left.updates.qsize())]

    with ThreadPoolExecutor(1) as pool:
        update, among, left = pool.submit(asyncio.run, answers()).result()
    assert [update[0]] == routed.generate([LAW], max_tokens=20)
    assert among < 1000
    assert len(left) == 2 and isinstance(left[1], TimeoutError)


def test_clients_that_go_or_never_end_leave_the_server_serving(port):
    def opened(text):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.sendall(text)
        return client

    body = json.dumps({"model": "routed", "prompt": LAW, "stream": True, "max_tokens": 31}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    for _ in range(12):  # more than the server answers at a time
        opened(whole).close()
    opened(head + b"Content-Length: 400\r\n\r\n{").close()
    waiting = [opened(head), opened(b"\x00\x01garbage\r\n\r\n")]
    endless = opened(head + b"Transfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(OSError):  # refused after 5000 bytes, and then closed
        for _ in range(2000):
            endless.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
            time.sleep(0.001)
    until = time.monotonic() + 60
    while (status := complete(port, max_tokens=5)[0]) != 200:
        assert status == 429 and time.monotonic() < until
        time.sleep(0.1)
    for client in (*waiting, endless):
        client.close()


def test_a_port_in_use_is_one_line(routed_folder, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(routed_folder), "--port", str(port)]) == 2
    message = f"--port {port}: is in use at 127.0.0.1; stop the other server or give another port"
    assert capsys.readouterr().err == f"error: {message}\n"
    with pytest.raises(UserError, match=r"--host no.such.host.invalid --port 80: .*give another"):
        listen("no.such.host.invalid", 80)


def test_a_chat_continues_every_line(routed):
    out = io.StringIO()
    lines = io.StringIO(f"{LAW}\n{MEDICINE}\n")
    chat(routed, max_tokens=6, temperature=1.0, seed=4, source=lines, target=out)
    first = routed.generate([LAW], max_tokens=6, seed=4)
    second = routed.generate([MEDICINE], max_tokens=6, seed=5)
    assert out.getvalue() == f"{first[0]}\n{second[0]}\n"
