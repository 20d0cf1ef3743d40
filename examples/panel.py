"""Looks at the panel, changes a slot's temperature, and takes the change back. Standard library only."""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

CONTROL = os.environ.get("JACKFIELD_URL", "http://127.0.0.1:7311") + "/control/v1"


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{CONTROL}/{path}", data, {"content-type": "application/json"}, method=method)
    with urlopen(request, timeout=30) as answer:
        result: dict[str, Any] = json.load(answer)
    return result


def main() -> None:
    for slot in call("GET", "slots")["slots"]:
        if slot["state"] != "empty":
            print(slot["model_id"], slot["name"], slot["provider"], slot["model"] or "")

    mutated = call("POST", "slots/0/mutate", {"settings": {"temperature": 0.2}})
    print("changed:", mutated["changed"])
    print("taken back:", call("POST", "slots/undo")["undone"])


if __name__ == "__main__":
    main()
