"""Open WebUI's server, with both of its connections to the gateway, asked by its own HTTP API as its pages ask it."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from checks import COUNT, COUNTED, EMBED_MODEL, GATEWAY, IS_REAL, KEY, MODEL, check, expect, expect_pieces

UP_WITHIN_S = 150
ANSWER_WITHIN_S = 60
STOP_WITHIN_S = 15
UNTITLED = "New Chat"
HOME = Path.home()
CONNECTIONS = ("openai", "ollama")
"""Put before the names of models, since both connections have the same ones."""
SETTINGS = {
    "OPENAI_API_BASE_URL": f"{GATEWAY}/v1",
    "OPENAI_API_KEY": KEY,
    "OPENAI_API_CONFIGS": json.dumps({"0": {"enable": True, "prefix_id": "openai"}}),
    "OLLAMA_BASE_URL": GATEWAY,
    "OLLAMA_API_CONFIGS": json.dumps({"0": {"enable": True, "prefix_id": "ollama"}}),
    "OFFLINE_MODE": "1",
    "HF_HUB_OFFLINE": "1",
    "RAG_EMBEDDING_ENGINE": "openai",
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "of this run",
    "DATA_DIR": str(HOME / "data"),
    "STATIC_DIR": str(HOME / "static"),
    "CORS_ALLOW_ORIGIN": "http://127.0.0.1",
    "SCARF_NO_ANALYTICS": "true",
    "ANONYMIZED_TELEMETRY": "false",
}


def free_port():
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


PORT = free_port()
given = {"Content-Type": "application/json"}


def opened(path, body=None):
    asked = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", body and json.dumps(body).encode(), given)
    try:
        return urllib.request.urlopen(asked, timeout=ANSWER_WITHIN_S)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.code} {error.read(300)!r}") from None


def asked(path, body=None):
    with opened(path, body) as answer:
        return json.load(answer)


def chat(connection, text, **more):
    return {
        "model": f"{connection}.{MODEL}",
        "messages": [{"role": "user", "content": text}],
        "params": {"temperature": 0},
        **more,
    }


def pieces(connection, text):
    """The texts of a stream, which Open WebUI writes as OpenAI's for both connections."""
    with opened("/api/chat/completions", chat(connection, text, stream=True)) as answer:
        lines = [line[6:].strip() for line in answer if line.startswith(b"data: ")]
    expect(lines[-1], b"[DONE]")
    chunks = [choice for line in lines[:-1] for choice in json.loads(line).get("choices", [])]
    return [choice["delta"]["content"] for choice in chunks if choice["delta"].get("content")]


def wait_until_up(server, log):
    until = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError(f"open-webui ended with {server.returncode}: {log.read_text(errors='replace')[-400:]}")
        try:
            asked("/health")
            return
        except (OSError, AssertionError):
            time.sleep(0.5)
    raise RuntimeError(f"open-webui was not up in {UP_WITHIN_S} s: {log.read_text(errors='replace')[-400:]}")


def judge():
    given["Authorization"] = f"Bearer {asked('/api/v1/auths/signin', {'email': '', 'password': ''})['token']}"

    @check("models")
    def models():
        owners = {model["id"]: model["owned_by"] for model in asked("/api/models")["data"]}
        expect([owners.get(f"{connection}.{MODEL}") for connection in CONNECTIONS], list(CONNECTIONS))

    @check("ollama: version, ps")
    def ollama_asides():
        with urllib.request.urlopen(f"{GATEWAY}/api/version", timeout=ANSWER_WITHIN_S) as answer:
            expect(asked("/ollama/api/version")["version"], json.load(answer)["version"])
        asked("/ollama/api/ps")

    for connection in CONNECTIONS:

        @check(f"{connection}: plain")
        def plain(connection=connection):
            reply = asked("/api/chat/completions", chat(connection, "ping", stream=False))
            expect((reply["choices"][0]["message"]["content"], reply["choices"][0]["finish_reason"]), ("pong", "stop"))
            assert reply["usage"]["total_tokens"] > 0
            if IS_REAL and connection == "ollama":
                assert reply["usage"]["response_token/s"] > 0

        @check(f"{connection}: stream")
        def stream(connection=connection):
            expect_pieces(pieces(connection, COUNT), COUNTED)

        @check(f"{connection}: embeddings", if_real=True)  # a scripted slot is for answers
        def embeddings(connection=connection):
            reply = asked("/api/embeddings", {"model": f"{connection}.{EMBED_MODEL}", "input": ["one", "two"]})
            expect(len(reply["data"]), 2)

        @check(f"{connection}: kept chat")
        def kept_chat(connection=connection):
            title, text = kept(connection)
            if IS_REAL:
                assert text  # behind 10,000 tokens of Open WebUI's tools the tiny model babbles
            else:
                expect((title, text), ("Counting", COUNTED))


def kept(connection):
    """Title and answer of a chat that Open WebUI keeps: asked as its page asks, which has it also titled and tagged."""
    said = {"id": f"said-{connection}", "parentId": None, "childrenIds": [], "role": "user", "content": COUNT}
    tasks = {"title_generation": True, "tags_generation": True, "follow_up_generation": True}
    page = {"id": f"answer-{connection}", "session_id": "a page", "parent_id": None, "user_message": said}
    begun = asked("/api/chat/completions", chat(connection, COUNT, stream=True, background_tasks=tasks, **page))
    until = time.monotonic() + ANSWER_WITHIN_S
    while time.monotonic() < until:
        works = asked(f"/api/tasks/chat/{begun['chat_id']}")["task_ids"]
        stands = asked(f"/api/v1/chats/{begun['chat_id']}")
        answer = stands["chat"]["history"]["messages"][page["id"]]
        if answer.get("done") and not works and stands["title"] != UNTITLED:
            return stands["title"], answer["content"]
        time.sleep(0.2)
    raise AssertionError(f"no titled answer was kept in {ANSWER_WITHIN_S} s")


def main():
    (HOME / "static").mkdir()
    log = HOME / "open-webui.log"
    words = ["open-webui", "serve", "--host", "127.0.0.1", "--port", str(PORT)]
    with log.open("wb") as out:
        server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=os.environ | SETTINGS
        )
        try:
            wait_until_up(server, log)
            judge()
        finally:
            server.terminate()
            try:
                server.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


main()
