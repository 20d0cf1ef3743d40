"""Pydantic AI: agents by chat completions, by Responses and by Anthropic's messages."""

from checks import CITY, COUNT, GATEWAY, KEY, MODEL, WEATHER, check, expect, expect_pieces
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

openai = OpenAIProvider(base_url=f"{GATEWAY}/v1", api_key=KEY)
MODELS = {
    "chat": OpenAIChatModel(MODEL, provider=openai),
    "responses": OpenAIResponsesModel(MODEL, provider=openai),
    "anthropic": AnthropicModel(MODEL, provider=AnthropicProvider(base_url=GATEWAY, api_key=KEY)),
}


class City(BaseModel):
    city: str


for way, model in MODELS.items():
    agent = Agent(model, model_settings={"temperature": 0, "max_tokens": 60})

    @check(f"plain by {way}")
    def plain(agent=agent):
        expect(agent.run_sync("ping").output, "pong")

    @check(f"stream by {way}")
    async def stream(agent=agent):
        async with agent.run_stream(COUNT) as run:
            expect_pieces([piece async for piece in run.stream_text(delta=True, debounce_by=None)])

    @check(f"tools by {way}", if_real=True)  # the script would call it for ever
    def tools(model=model):
        asked = []

        def get_weather(city: str) -> str:
            """Weather of a city"""
            asked.append(city)
            return "sunny"

        agent = Agent(model, tools=[get_weather], model_settings={"temperature": 0, "max_tokens": 60})
        assert "sunny" in agent.run_sync(WEATHER).output
        expect(asked, ["Paris"])

    @check(f"structured by {way}", if_real=False)  # the model never learnt to
    def structured(model=model):
        expect(Agent(model, output_type=City).run_sync("fill in final_result").output.model_dump(), CITY)
