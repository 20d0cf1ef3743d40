// What a client's script says of itself: a JSON line for each check. Needs nothing but Node.
import assert from "node:assert/strict";

export const { GATEWAY, MODEL, EMBED_MODEL, SOURCE } = process.env;
export const IS_REAL = SOURCE !== "scripted";
export const KEY = "not-needed";
export const COUNT = "Count to 5";
export const COUNTED = "1, 2, 3, 4, 5";
export const WEATHER = "What is the weather in Paris?";
export const CITY = { city: "Paris" };
export const CITY_SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const TOOL = { name: "get_weather", description: "Weather of a city", parameters: CITY_SCHEMA };
const TOLD_CHARS = 400;

/** Right unless `run` throws. */
export async function check(name, run) {
  let why = null;
  try {
    await run();
  } catch (error) {
    why = String(error?.message ?? error).slice(0, TOLD_CHARS);
  }
  console.log(JSON.stringify({ check: name, why }));
}

export function expect(got, wanted) {
  assert.deepStrictEqual(got, wanted);
}

/** A stream: more than one piece, and together the answer. */
export async function expectPieces(stream, textOf, wanted = COUNTED) {
  const pieces = [];
  for await (const each of stream) {
    const text = textOf(each);
    if (text) pieces.push(text);
  }
  expect(pieces.join(""), wanted);
  assert.ok(pieces.length > 1, "came in one piece");
}
