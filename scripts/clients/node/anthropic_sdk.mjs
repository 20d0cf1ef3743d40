// The @anthropic-ai/sdk package: messages, counts, models.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { CITY, CITY_SCHEMA, COUNT, GATEWAY, KEY, MODEL, WEATHER, check, expect, expectPieces } from "./checks.mjs";

const client = new Anthropic({ baseURL: GATEWAY, apiKey: KEY, maxRetries: 0 });
const tools = [{ name: "get_weather", description: "Weather of a city", input_schema: CITY_SCHEMA }];
const asked = { model: MODEL, max_tokens: 60 };
const user = (content) => [{ role: "user", content }];

function expectCall(reply) {
  const call = reply.content.find((block) => block.type === "tool_use");
  expect([call.name, call.input, reply.stop_reason], ["get_weather", CITY, "tool_use"]);
}

await check("plain", async () => {
  for (const baseURL of [GATEWAY, `${GATEWAY}/v1`]) {
    const other = new Anthropic({ baseURL, apiKey: KEY, maxRetries: 0 });
    expect((await other.messages.create({ ...asked, messages: user("ping") })).content[0].text, "pong");
  }
});

await check("stream", async () => {
  const stream = await client.messages.create({ ...asked, messages: user(COUNT), stream: true });
  await expectPieces(stream, (event) => event.type === "content_block_delta" && event.delta.text);
});

await check("tools", async () => {
  expectCall(await client.messages.create({ ...asked, messages: user(WEATHER), tools }));
});

await check("tools streamed", async () => {
  expectCall(await client.messages.stream({ ...asked, messages: user(WEATHER), tools }).finalMessage());
});

await check("count_tokens", async () => {
  assert.ok((await client.messages.countTokens({ model: MODEL, messages: user("ping") })).input_tokens > 0);
});

await check("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes(MODEL));
});

await check("errors", async () => {
  await assert.rejects(client.messages.create({ ...asked, model: "nobody", messages: user("ping") }), Anthropic.NotFoundError);
});
