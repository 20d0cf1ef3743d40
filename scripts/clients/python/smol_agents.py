"""smolagents: its model for OpenAI's API, and an agent on it."""

from checks import COUNT, GATEWAY, KEY, MODEL, check, expect, expect_pieces
from smolagents import ChatMessage, OpenAIServerModel, ToolCallingAgent

model = OpenAIServerModel(model_id=MODEL, api_base=f"{GATEWAY}/v1", api_key=KEY, temperature=0)


def user(text):
    return [ChatMessage(role="user", content=[{"type": "text", "text": text}])]


@check("plain")
def plain():
    expect(model.generate(user("ping")).content, "pong")


@check("stream")
def stream():
    expect_pieces([delta.content for delta in model.generate_stream(user(COUNT)) if delta.content])


@check("an agent", if_real=False)  # the model never learnt its tool
def agent():
    expect(ToolCallingAgent(tools=[], model=model, max_steps=2, verbosity_level=0).run("fill in final_answer"), "pong")
