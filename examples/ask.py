"""Asks a slot with the OpenAI SDK, once as a whole and once as a stream. Needs: pip install openai"""

import os

from openai import OpenAI

GATEWAY = os.environ.get("JACKFIELD_URL", "http://127.0.0.1:7311")


def main() -> None:
    client = OpenAI(base_url=f"{GATEWAY}/v1", api_key="not-needed")
    answer = client.chat.completions.create(model="slot-0", messages=[{"role": "user", "content": "ping"}])
    print(answer.choices[0].message.content)

    stream = client.chat.completions.create(model="slot-0", messages=[{"role": "user", "content": "Count to 5"}], stream=True)
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
