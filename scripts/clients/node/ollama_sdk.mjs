// The ollama package for Node: chat, generate, embed, models.
import assert from "node:assert/strict";
import { Ollama } from "ollama";
import { CITY, COUNT, EMBED_MODEL, GATEWAY, MODEL, TOOL, WEATHER, check, expect, expectPieces } from "./checks.mjs";

const client = new Ollama({ host: GATEWAY });
const asked = { model: MODEL, options: { temperature: 0 } };
const user = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: TOOL }];

await check("plain", async () => {
  expect((await client.chat({ ...asked, messages: user("ping") })).message.content, "pong");
  expect((await client.generate({ ...asked, prompt: "ping" })).response, "pong");
});

await check("stream", async () => {
  const stream = await client.chat({ ...asked, messages: user(COUNT), stream: true });
  await expectPieces(stream, (chunk) => chunk.message.content);
});

await check("tools", async () => {
  const [call] = (await client.chat({ ...asked, messages: user(WEATHER), tools })).message.tool_calls;
  expect([call.function.name, call.function.arguments], ["get_weather", CITY]);
});

await check("embeddings", async () => {
  expect((await client.embed({ model: EMBED_MODEL, input: ["one", "two"] })).embeddings.length, 2);
});

await check("models", async () => {
  assert.ok((await client.list()).models.some((model) => model.model === MODEL));
  assert.ok((await client.show({ model: MODEL })).capabilities.includes("completion"));
  await client.ps();
});

await check("errors", async () => {
  await assert.rejects(client.chat({ model: "nobody", messages: user("ping") }), { status_code: 404 });
});
