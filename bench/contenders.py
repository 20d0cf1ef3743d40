"""Who takes part: how each gateway is started, what it must be asked for, and how to get it where it is missing."""

import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workloads import MODELS

CACHE = Path(__file__).resolve().parents[1] / ".cache/bench"
CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Launch:
    """Where a contender lives while it runs: its port, the upstream's port, a folder for its files."""

    port: int
    upstream_port: int
    folder: Path


@dataclass(frozen=True)
class Contender:
    """`command` makes the files it needs and gives the command line; None: the upstream itself, no gateway between.

    `models` maps the upstream's model names to what this gateway calls them. `missing` says how to get it; None: it is here.
    A peer may fail a workload and is then shown without it; `patience` lengthens its closed loops, where it needs seconds to
    answer 64 at once.
    """

    name: str
    command: Callable[[Launch], list[str]] | None
    environ: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    headers: Callable[[Launch], tuple[str, ...]] = lambda launch: ()
    ready_s: float = 20.0
    missing: str | None = None
    is_peer: bool = False
    patience: float = 1

    def model(self, upstream_model: str) -> str:
        return self.models.get(upstream_model, upstream_model)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def all_contenders() -> list[Contender]:
    """In the order of the table. `direct` and `nginx` come first: the others are compared with them."""
    return [direct(), nginx(), floor(), jackfield(), litellm(), portkey()]


def direct() -> Contender:
    return Contender("direct", command=None)


NGINX_SETTINGS = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_buffer_size 1m; client_max_body_size 64m;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  upstream model {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; tcp_nodelay on;
    }}
  }}
}}
"""


def nginx() -> Contender:
    """The reference: the least that a proxy can cost. It parses no body and counts no token."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def command(launch: Launch) -> list[str]:
        settings = launch.folder / "nginx.conf"
        settings.write_text(
            NGINX_SETTINGS.format(folder=launch.folder, port=launch.port, upstream_port=launch.upstream_port), encoding="utf-8"
        )
        return [program or "nginx", "-p", str(launch.folder), "-c", str(settings)]

    return Contender("nginx", command, missing=None if program else "apt install nginx-light")


def jackfield() -> Contender:
    """`jackfield up` as a user runs it, everything on, one slot for each model of the upstream."""
    program = Path(sys.executable).parent / "jackfield"

    def command(launch: Launch) -> list[str]:
        base_url = f"http://127.0.0.1:{launch.upstream_port}/v1"
        settings = {
            "server": {"port": launch.port},
            "discovery": {"enabled": False},
            "slots": {
                str(number): {"provider": "openai-compat", "model": model, "config": {"base_url": base_url}}
                for number, model in enumerate(MODELS)
            },
        }
        # JSON is YAML
        (launch.folder / "jackfield.yaml").write_text(json.dumps(settings), encoding="utf-8")
        home = f"JACKFIELD_HOME={launch.folder / 'home'}"
        return ["env", home, f"JACKFIELD_CONFIG={launch.folder / 'jackfield.yaml'}", str(program), "up"]

    slots = {model: f"slot-{number}" for number, model in enumerate(MODELS)}
    missing = None if program.exists() else "scripts/venv dev, then .venv/bin/python bench/run.py"
    return Contender("jackfield", command, models=slots, missing=missing)


def floor() -> Contender:
    """The least that a gateway in Python can cost: floor.py."""
    program = Path(__file__).parent / "floor.py"

    def command(launch: Launch) -> list[str]:
        return [sys.executable, str(program), str(launch.port), str(launch.upstream_port)]

    return Contender("floor", command)


LITELLM_ENVIRON = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_PROXY": "*",
}


def litellm() -> Contender:
    """LiteLLM's proxy, one worker, quiet, without a database: as fast as its settings make it."""
    own = CACHE / "litellm/bin/litellm"
    program = str(own) if own.exists() else shutil.which("litellm")
    key = f"sk-{secrets.token_hex(24)}"  # it does not start without one

    def command(launch: Launch) -> list[str]:
        base_url = f"http://127.0.0.1:{launch.upstream_port}/v1"
        settings = {
            "model_list": [
                {"model_name": model, "litellm_params": {"model": f"openai/{model}", "api_base": base_url, "api_key": "none"}}
                for model in MODELS
            ],
            "litellm_settings": {"set_verbose": False, "json_logs": True, "request_timeout": 600, "drop_params": True},
            "router_settings": {"routing_strategy": "simple-shuffle", "num_retries": 0, "disable_cooldowns": True},
            "general_settings": {"master_key": key, "disable_spend_logs": True, "disable_error_logs": True},
        }
        (launch.folder / "litellm.yaml").write_text(json.dumps(settings), encoding="utf-8")
        where = ["--host", "127.0.0.1", "--port", str(launch.port), "--num_workers", "1", "--telemetry", "False"]
        return [program or "litellm", "--config", str(launch.folder / "litellm.yaml"), *where]

    install = f"python3 -m venv {_shown(own.parents[1])} && {_shown(own.parent)}/pip install 'litellm[proxy]'"

    def headers(launch: Launch) -> tuple[str, ...]:
        return (f"authorization: Bearer {key}",)

    missing = None if program else install
    return Contender(
        "litellm", command, LITELLM_ENVIRON, headers=headers, ready_s=180, missing=missing, is_peer=True, patience=4
    )


def portkey() -> Contender:
    """Portkey's gateway on Node. Its streams need an older @hono/node-server than npm picks."""
    server = CACHE / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    node = shutil.which("node")

    def command(launch: Launch) -> list[str]:
        return [node or "node", str(server), "--headless", f"--port={launch.port}"]

    def headers(launch: Launch) -> tuple[str, ...]:
        custom_host = f"x-portkey-custom-host: http://127.0.0.1:{launch.upstream_port}/v1"
        return ("authorization: Bearer none", "x-portkey-provider: openai", custom_host)

    package = '{"private":true,"dependencies":{"@portkey-ai/gateway":"1.15.2"},"overrides":{"@hono/node-server":"1.13.8"}}'
    folder = _shown(CACHE / "portkey")
    install = f"mkdir -p {folder} && cd {folder} && echo '{package}' > package.json && npm install"
    environ = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    missing = None if server.exists() and node else install
    return Contender("portkey", command, environ, headers=headers, missing=missing, is_peer=True)


def other(name: str, command_line: str) -> Contender:
    """Any other gateway, from a command line in which {port} and {upstream_port} are filled in."""

    def command(launch: Launch) -> list[str]:
        return command_line.format(port=launch.port, upstream_port=launch.upstream_port).split()

    return Contender(name, command)


def _shown(path: Path) -> str:
    return path.relative_to(CACHE.parents[1]).as_posix()
