"""Lets the model call a function, runs it, and asks again with the result. Needs: pip install openai"""

import json
import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam, ChatCompletionToolParam

GATEWAY = os.environ.get("JACKFIELD_URL", "http://127.0.0.1:7311")
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> str:
    return json.dumps({"city": city, "weather": "sunny"})


def main() -> None:
    client = OpenAI(base_url=f"{GATEWAY}/v1", api_key="not-needed")
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.chat.completions.create(model="slot-0", messages=messages, tools=[WEATHER]).choices[0].message
    calls = [call for call in first.tool_calls or [] if isinstance(call, ChatCompletionMessageFunctionToolCall)]
    if not calls:
        print(first.content)
        return
    messages.append(
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in calls
            ],
        }
    )
    for call in calls:
        print(f"{call.function.name}({call.function.arguments})")
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    second = client.chat.completions.create(model="slot-0", messages=messages, tools=[WEATHER])
    print(second.choices[0].message.content)


if __name__ == "__main__":
    main()
