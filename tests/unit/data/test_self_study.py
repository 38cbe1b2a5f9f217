"""Self-study must survive bad replies, busy servers and being killed; no network is used."""

from __future__ import annotations

import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from dnsity.data.generators.self_study.models import (
    Endpoint,
    Generator,
    endpoint_generator,
    hf_generator,
)
from dnsity.data.generators.self_study.prompts import PROMPT_TYPES, parse_reply, render_prompt
from dnsity.data.generators.self_study.study import SelfStudySettings, self_study
from dnsity.data.readers.corpus import Document
from dnsity.data.readers.records import read_examples
from dnsity.errors import BadInputError

DOCUMENTS = [Document("a", "The mill grinds rye on Monday.", "Mill"), Document("b", "Wind. " * 90)]
URL = "http://model.test/v1"
GOOD = '{"question": "What does the mill grind?", "answer": "rye"}'


@dataclass
class Server:
    """Plays an endpoint: gives the scripted answers in turn, the last one for ever."""

    script: list[tuple[int, dict[str, str], bytes]]
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    socket_path: str = ""


def completion(content: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}}]}).encode()


OK = (200, {}, completion(GOOD))


@contextmanager
def serving(*script: tuple[int, dict[str, str], bytes]) -> Iterator[Server]:
    server = Server(list(script))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append((self.path, dict(self.headers), body))
            status, headers, content = server.script[
                min(len(server.requests), len(server.script)) - 1
            ]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    # The project's tests may connect to Unix sockets only.
    with tempfile.TemporaryDirectory() as folder:
        server.socket_path = f"{folder}/s"
        httpd = socketserver.UnixStreamServer(server.socket_path, Handler)
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            httpd.shutdown()
            thread.join()
            httpd.server_close()


def connect(server: Server, waits: list[float], **settings: Any) -> Generator:
    settings = {"requests_per_minute": 1e9, "api_key_variable": "TEST_KEY", **settings}
    transport = httpx.HTTPTransport(uds=server.socket_path)
    return endpoint_generator(Endpoint(URL, "tiny", **settings), waits.append, transport)


def test_the_request_is_what_the_protocol_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sesame")
    with serving(OK) as server:
        assert connect(server, [])("Ask.", 77) == GOOD
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer sesame"
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Ask."}],
        "max_tokens": 77,
        "temperature": 0.0,
    }


def test_without_a_key_in_the_environment_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    with serving(OK) as server:
        connect(server, [])("Ask.", 5)
    assert "Authorization" not in server.requests[0][1]


def test_busy_and_broken_servers_are_asked_again() -> None:
    waits: list[float] = []
    busy = (429, {"Retry-After": "7"}, b"")
    down = (503, {}, b"")
    dated = (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"")
    with serving(down, busy, (200, {}, b"<html>"), dated, OK) as server:
        assert connect(server, waits)("Ask.", 5) == GOOD
    assert waits == [1.0, 7.0, 4.0, 0.0]


def test_a_server_that_stays_down_is_given_up_with_a_message() -> None:
    waits: list[float] = []
    with serving((500, {}, b"")) as server, pytest.raises(BadInputError, match=r"3 times.*500"):
        connect(server, waits, attempts=3)("Ask.", 5)
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "TEST_KEY"), (404, "no model 'tiny'"), (400, "HTTP 400"), (302, "HTTP 302")],
)
def test_errors_that_will_not_pass_are_not_tried_again(status: int, message: str) -> None:
    answer = (status, {"Location": "/elsewhere"}, b"")
    with serving(answer) as server, pytest.raises(BadInputError, match=message):
        connect(server, [])("Ask.", 5)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_named() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    ask = endpoint_generator(Endpoint(URL, "tiny"), transport=httpx.MockTransport(refuse))
    with pytest.raises(BadInputError, match=r"cannot reach http://model\.test.*refused"):
        ask("Ask.", 5)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "localhost:8000", ""])
def test_only_web_addresses_are_taken(address: str) -> None:
    with pytest.raises(BadInputError, match="http"):
        endpoint_generator(Endpoint(address, "tiny"))


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("slow"), httpx.ReadError("reset"), httpx.RemoteProtocolError("cut")]
)
def test_a_dropped_connection_is_tried_again(error: httpx.HTTPError) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        if not waits:
            raise error
        return httpx.Response(200, content=OK[2])

    waits: list[float] = []
    endpoint = Endpoint(URL, "tiny", requests_per_minute=1e9)
    assert endpoint_generator(endpoint, waits.append, httpx.MockTransport(fail))("Ask.", 5) == GOOD
    assert waits == [1.0]


def test_requests_are_spaced() -> None:
    waits: list[float] = []
    with serving(OK) as server:
        ask = connect(server, waits, requests_per_minute=2)
        ask("Ask.", 5)
        assert waits == []
        ask("Ask.", 5)
    assert len(waits) == 1
    assert 25 < waits[0] <= 30


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"Sure! Here they are:\n```json\n{GOOD}\n```\nAnything else?",
        f"1. {GOOD},\n2. {{broken",
        f"[{GOOD}]",
        '{"questions": [' + GOOD + "]}",
        '{"Q": "What does the mill grind?", "A": "rye"}',
        '{"질문": "What does the mill grind?", "답": "rye"}',
        "**Question 1:** What does the mill grind?\n**Answer:** rye",
        "질문: What does the mill grind?\n답: rye",
    ],
)
def test_replies_are_read_however_they_are_wrapped(reply: str) -> None:
    assert parse_reply(reply) == [("What does the mill grind?", "rye")]


@pytest.mark.parametrize("reply", ["", "{", "I cannot.", '{"question": "x"}', "{" * 5000, "[1, 2]"])
def test_replies_without_a_question_give_none(reply: str) -> None:
    assert parse_reply(reply) == []


@pytest.mark.parametrize("answer", ["1" * 5000, '"half of an emoji: \\ud83d"'])
def test_an_answer_that_no_file_can_hold_is_dropped(answer: str) -> None:
    assert parse_reply(f'{{"question": "Why?", "answer": {answer}}} {GOOD}') == parse_reply(GOOD)


def test_structured_answers_stay_json() -> None:
    reply = '{"question": "List.", "answer": {"월": ["호밀"]}}'
    assert parse_reply(reply) == [("List.", '{"월": ["호밀"]}')]


@pytest.mark.parametrize("prompt_type", PROMPT_TYPES)
def test_prompts_hold_text_title_and_count_in_both_languages(prompt_type: str) -> None:
    english = render_prompt("Rye {here}.", "Mill", prompt_type, "en", 3)
    korean = render_prompt("호밀 {여기}.", "방앗간", prompt_type, "ko", 3)
    assert all(part in english for part in ("Rye {here}.", "Mill", "3", '{"question"'))
    assert all(part in korean for part in ("호밀 {여기}.", "방앗간", "3", '{"question"'))


def test_one_record_for_each_document_and_prompt_type(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "out.jsonl"
    self_study(DOCUMENTS, lambda prompt, tokens: GOOD, output, language="en")
    examples = list(read_examples(output))
    assert [(e.source, e.details["prompt_type"]) for e in examples] == [
        (document.id, prompt_type) for document in DOCUMENTS for prompt_type in PROMPT_TYPES
    ]
    assert examples[0].questions[0].kind == "model:factual"
    assert [len(example.questions) for example in examples] == [1] * 10
    assert [path.name for path in output.parent.iterdir()] == ["out.jsonl"]


def test_a_killed_run_goes_on_where_it_stopped_and_gives_the_same_file(tmp_path: Path) -> None:
    def dies_after(replies: int) -> Generator:
        left = [replies]

        def generate(prompt: str, max_new_tokens: int) -> str:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return GOOD

        return generate

    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    self_study(DOCUMENTS, dies_after(99), whole, language="en")
    with pytest.raises(KeyboardInterrupt):
        self_study(DOCUMENTS, dies_after(4), output, language="en")
    assert not output.exists()
    partial = tmp_path / "out.jsonl.partial"
    with partial.open("ab") as lines:
        lines.write('{"document": "torn 한'.encode()[:-1])
    self_study(DOCUMENTS, dies_after(6), output, language="en")
    assert output.read_bytes() == whole.read_bytes()
    assert not partial.exists()


def test_a_finished_file_is_only_added_to(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    self_study(DOCUMENTS[:1], lambda prompt, tokens: GOOD, output, language="en")
    self_study(DOCUMENTS, lambda prompt, tokens: "no", output, language="en")
    assert [len(example.questions) for example in read_examples(output)] == [1] * 5 + [0] * 5


def test_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    self_study(DOCUMENTS, lambda prompt, tokens: GOOD, output, language="en")
    with pytest.raises(BadInputError, match="another output file"):
        self_study(
            DOCUMENTS,
            lambda prompt, tokens: GOOD,
            output,
            language="en",
            settings=SelfStudySettings(label="another model"),
        )


def test_unknown_prompt_types_are_named(tmp_path: Path) -> None:
    settings = SelfStudySettings(prompt_types=("riddle",))
    with pytest.raises(BadInputError, match="riddle"):
        self_study([], lambda p, t: "", tmp_path / "o.jsonl", language="en", settings=settings)


def test_long_documents_are_shown_in_excerpts_between_sentences(tmp_path: Path) -> None:
    prompts: list[str] = []

    def generate(prompt: str, max_new_tokens: int) -> str:
        prompts.append(prompt)
        return GOOD

    text = " ".join(f"Sentence number {number} ends here." for number in range(200))
    settings = SelfStudySettings(characters=300, seed=1)
    documents = [Document("long", text)]
    self_study(documents, generate, tmp_path / "o.jsonl", language="en", settings=settings)
    excerpts = [prompt.split("Text:\n")[1].strip() for prompt in prompts]
    assert all(e in text and len(e) <= 300 and e.startswith("Sentence") for e in excerpts)
    assert all(excerpt.endswith(".") for excerpt in excerpts)
    assert len(set(excerpts)) > 1


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    generate = hf_generator(str(tmp_path))
    with pytest.raises(BadInputError, match="cannot load"):
        generate("Ask.", 3)
