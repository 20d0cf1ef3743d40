// The @google/genai package: content, counts, embeddings, models.
import assert from "node:assert/strict";
import { GoogleGenAI } from "@google/genai";
import {
  CITY, CITY_SCHEMA, COUNT, EMBED_MODEL, GATEWAY, KEY, MODEL, WEATHER, check, expect, expectPieces,
} from "./checks.mjs";

const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: GATEWAY } });
const config = { temperature: 0, maxOutputTokens: 60 };
const declared = { name: "get_weather", description: "Weather of a city", parametersJsonSchema: CITY_SCHEMA };
const withTool = { ...config, tools: [{ functionDeclarations: [declared] }] };

await check("plain", async () => {
  expect((await client.models.generateContent({ model: MODEL, contents: "ping", config })).text, "pong");
});

await check("stream", async () => {
  const stream = await client.models.generateContentStream({ model: MODEL, contents: COUNT, config });
  await expectPieces(stream, (chunk) => chunk.text);
});

await check("tools", async () => {
  const reply = await client.models.generateContent({ model: MODEL, contents: WEATHER, config: withTool });
  const [call] = reply.functionCalls;
  expect([call.name, call.args], ["get_weather", CITY]);
});

await check("tools streamed", async () => {
  const calls = [];
  const stream = await client.models.generateContentStream({ model: MODEL, contents: WEATHER, config: withTool });
  for await (const chunk of stream) calls.push(...(chunk.functionCalls ?? []));
  expect(calls.map((call) => [call.name, call.args]), [["get_weather", CITY]]);
});

await check("chat", async () => {
  const talk = client.chats.create({ model: MODEL, config });
  expect((await talk.sendMessage({ message: "ping" })).text, "pong");
  expect((await talk.sendMessage({ message: "ping" })).text, "pong");
});

await check("count_tokens", async () => {
  assert.ok((await client.models.countTokens({ model: MODEL, contents: "ping" })).totalTokens > 0);
});

await check("embeddings", async () => {
  const reply = await client.models.embedContent({ model: EMBED_MODEL, contents: ["one", "two"] });
  expect(reply.embeddings.length, 2);
});

await check("models", async () => {
  const names = [];
  for await (const model of await client.models.list()) names.push(model.name);
  assert.ok(names.includes(`models/${MODEL}`));
});

await check("errors", async () => {
  await assert.rejects(client.models.generateContent({ model: "nobody", contents: "ping" }), { status: 404 });
});
