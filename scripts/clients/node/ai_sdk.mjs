// The AI SDK (`ai`) through each of its packages that takes a base URL.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, isStepCount, jsonSchema, stepCountIs, streamText, tool } from "ai";
import {
  CITY, CITY_SCHEMA, COUNT, EMBED_MODEL, GATEWAY, IS_REAL, KEY, MODEL, WEATHER, check, expect, expectPieces,
} from "./checks.mjs";

const baseURL = `${GATEWAY}/v1`;
const openai = createOpenAI({ baseURL, apiKey: KEY });
const compatible = createOpenAICompatible({ name: "gateway", baseURL, apiKey: KEY });
const models = {
  "openai (responses)": openai(MODEL),
  "openai.chat": openai.chat(MODEL),
  "openai-compatible": compatible(MODEL),
  anthropic: createAnthropic({ baseURL, apiKey: KEY })(MODEL),
};

for (const [way, model] of Object.entries(models)) {
  const asked = { model, temperature: 0, maxOutputTokens: 60, maxRetries: 0 };

  await check(`plain by ${way}`, async () => {
    const reply = await generateText({ ...asked, prompt: "ping" });
    expect([reply.text, reply.finishReason], ["pong", "stop"]);
    assert.ok(reply.usage.outputTokens > 0);
  });

  await check(`stream by ${way}`, async () => {
    await expectPieces(streamText({ ...asked, prompt: COUNT }).textStream, (text) => text);
  });

  await check(`tools by ${way}`, async () => {
    const execute = async () => "sunny";
    const get_weather = tool({ description: "Weather of a city", inputSchema: jsonSchema(CITY_SCHEMA), execute });
    const stopWhen = (stepCountIs ?? isStepCount)(IS_REAL ? 2 : 1);
    const reply = await generateText({ ...asked, prompt: WEATHER, tools: { get_weather }, stopWhen });
    const [call] = reply.steps[0].toolCalls;
    expect([call.toolName, call.input], ["get_weather", CITY]);
    if (IS_REAL) expect(reply.text, "The weather in Paris is sunny.");
  });
}

await check("embeddings", async () => {
  for (const model of [openai.embedding(EMBED_MODEL), compatible.embeddingModel(EMBED_MODEL)]) {
    expect((await embedMany({ model, values: ["one", "two"], maxRetries: 0 })).embeddings.length, 2);
  }
});
