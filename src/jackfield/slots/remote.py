"""What the text given to `plug_model` means: a model for the engine in this process, or the address of a server."""

from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from jackfield.core.errors import BadRequest


def local_or_remote(model_id: str) -> tuple[str, dict[str, Any], str | None]:
    """(provider, config, model). `http(s)://host/v1?model=M&key=K` is an OpenAI-compatible server; its key is only its own.

    Raises BadRequest for an empty id.
    """
    text = model_id.strip()
    if not text:
        raise BadRequest("model must not be empty: give a GGUF file, a model's name, or a server's http address", param="model")
    if not text.startswith(("http://", "https://")):
        return "local", {}, text
    url = urlsplit(text)
    query = parse_qs(url.query)
    config: dict[str, Any] = {"base_url": urlunsplit((url.scheme, url.netloc, url.path, "", ""))}
    key = query.get("key") or query.get("api_key")
    if key:
        config["api_key"] = key[0]
    return "openai-compat", config, query["model"][0] if "model" in query else None
