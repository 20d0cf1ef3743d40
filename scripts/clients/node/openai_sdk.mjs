// The openai package for Node: chat, Responses, embeddings, models.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { CITY, COUNT, EMBED_MODEL, GATEWAY, KEY, MODEL, TOOL, WEATHER, check, expect, expectPieces } from "./checks.mjs";

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const asked = { model: MODEL, temperature: 0 };

await check("plain", async () => {
  for (const baseURL of [`${GATEWAY}/v1`, GATEWAY]) {
    const other = new OpenAI({ baseURL, apiKey: KEY, maxRetries: 0 });
    const reply = await other.chat.completions.create({ ...asked, messages: user("ping") });
    expect(reply.choices[0].message.content, "pong");
  }
});

await check("stream", async () => {
  const stream = await client.chat.completions.create({ ...asked, messages: user(COUNT), stream: true });
  await expectPieces(stream, (chunk) => chunk.choices[0]?.delta.content);
});

await check("tools", async () => {
  const tools = [{ type: "function", function: TOOL }];
  const reply = await client.chat.completions.create({ ...asked, messages: user(WEATHER), tools });
  const [call] = reply.choices[0].message.tool_calls;
  expect([call.function.name, JSON.parse(call.function.arguments)], ["get_weather", CITY]);
});

await check("tools streamed", async () => {
  const tools = [{ type: "function", function: TOOL }];
  const run = client.chat.completions.stream({ ...asked, messages: user(WEATHER), tools });
  const [call] = (await run.finalChatCompletion()).choices[0].message.tool_calls;
  expect([call.function.name, JSON.parse(call.function.arguments)], ["get_weather", CITY]);
});

await check("responses", async () => {
  expect((await client.responses.create({ ...asked, input: "ping" })).output_text, "pong");
});

await check("responses streamed", async () => {
  const stream = await client.responses.create({ ...asked, input: COUNT, stream: true });
  await expectPieces(stream, (event) => event.type === "response.output_text.delta" && event.delta);
});

await check("embeddings", async () => {
  const given = { model: EMBED_MODEL, input: ["one", "two"] };
  const [one] = (await client.embeddings.create({ ...given, encoding_format: "float" })).data;
  const [same] = (await client.embeddings.create(given)).data; // the package asks for base64 itself
  expect(same.embedding.length, one.embedding.length);
  assert.ok(one.embedding.every((value, at) => Math.abs(value - same.embedding[at]) < 1e-4));
});

await check("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes(MODEL));
  expect((await client.models.retrieve(MODEL)).id, MODEL);
});

await check("errors", async () => {
  await assert.rejects(client.chat.completions.create({ model: "nobody", messages: user("ping") }), OpenAI.NotFoundError);
});
