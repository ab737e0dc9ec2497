// Compares the expressions of the page of `openkv studio` with JavaScript. Run by tests/studio.rs.

import { decode } from "../../runtime/studio/format.ts";
import { parseKey, parseSelector, parseValue } from "../../runtime/studio/parse.ts";
import { print, printKey } from "../../runtime/studio/print.ts";

const EXPRESSIONS = [
  "0",
  "-0",
  "+1",
  "1.5e-7",
  ".5",
  "5.",
  "0x1F",
  "0b11",
  "1_000",
  "1e999",
  "-Infinity",
  "NaN",
  "0n",
  "-12345678901234567890n",
  "0xffn",
  "true",
  "null",
  "undefined",
  '"a\\n\\u00e9\\u{1F600}\\x41\\\\\\"\\0"',
  "'single \"'",
  "`line\n`",
  '"\ud83d\ude00"',
  '""',
  "[]",
  "[,]",
  "[1,,2]",
  "[1, [2, [3]],]",
  "[undefined, null]",
  "{}",
  '{ a: 1, "b c": { d: [2n] }, 3: "x", $e_1: -1, }',
  '{ "__proto__x": 1 }',
  "new Map()",
  'new Map([[{ k: 1 }, new Set(["a"])], [NaN, undefined]])',
  "new Set()",
  'new Date("2020-02-30T00:00:00Z")',
  "new Date(0)",
  "new Date(NaN)",
  'new Date("2020-01-01")',
  "/a\\/[/]b/gi",
  "new Uint8Array([0, 255, 256])",
  "new Uint8Array()",
  'Uint8Array.fromHex("00fF")',
  "Uint8Array.of(1, 2)",
  "new Int16Array([-1])",
  "new Float64Array([0.1, -0, NaN])",
  "new BigInt64Array([-1n])",
  'Uint8Array.fromHex("0102").buffer',
  "new DataView(new Uint8Array([1]).buffer)",
  "new Deno.KvU64(18446744073709551615n)",
  `[${"0, ".repeat(100)}]`,
  `{ long: "${"x".repeat(100)}", nested: { list: [${"1, ".repeat(50)}] } }`,
];

const INVALID = [
  "",
  "1 2",
  "[1",
  "{ a 1 }",
  '"open',
  "x",
  "alert(1)",
  "new Function('x')",
  "new Map([1])",
  "new Deno.KvU64(-1n)",
  "new Deno.KvU64(1)",
  "new BigInt64Array([1])",
  'Uint8Array.fromHex("0")',
  "1.5n",
  "/(/",
  "--1",
  "() => 1",
  "[] + 1",
  "Uint8Array.fromHex(1)",
];

Deno.test("expressions are parsed and printed as JavaScript", () => {
  for (const expression of EXPRESSIONS) {
    const expected = show(new Function(`return (${expression})`)());
    const parsed = parseValue(expression);
    assertEquals(show(decode(parsed)), expected, expression);
    const printed = print(parsed);
    assertEquals(show(decode(parseValue(printed))), expected, printed);
    assertEquals(show(new Function(`return (${printed})`)()), expected, printed);
  }
  const error = decode(parseValue('new RangeError("far", { cause: new Error("near") })')) as Error;
  assertEquals([error.name, error.message, (error.cause as Error).message].join(), "RangeError,far,near", "an error");
  assertEquals(error.stack ?? "", "RangeError: far", "its stack");
});

Deno.test("other expressions are rejected", () => {
  for (const expression of INVALID) assertThrows(() => parseValue(expression), expression);
  for (const key of ["1", "[null]", "[[]]", "[,]", '["a"']) assertThrows(() => parseKey(key), key);
  for (const range of ['["a"] ["b"]', '["a"] .. ["b"] ..', '["a"] .']) assertThrows(() => parseSelector(range), range);
});

Deno.test("keys and selectors are parsed", () => {
  const key = '["a", -1n, 1.5, NaN, true, Uint8Array.fromHex("00")]';
  assertEquals(printKey(parseKey(key)), key, key);
  const [a, b] = [[{ type: "string", value: "a" }], [{ type: "string", value: "b" }]];
  const selectors: [string, unknown][] = [
    ["", { prefix: [] }],
    [' ["a"] ', { prefix: a }],
    ['["a"]..["b"]', { prefix: [], start: a, end: b }],
    ['["a"] ..', { prefix: [], start: a }],
    ['.. ["b"]', { prefix: [], end: b }],
    ["..", { prefix: [] }],
  ];
  for (const [text, expected] of selectors) {
    assertEquals(JSON.stringify(parseSelector(text)), JSON.stringify(expected), text);
  }
});

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 9, iterableLimit: 1000 });
}

function assertEquals(actual: string, expected: string, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual} is not ${expected}`);
}

function assertThrows(action: () => unknown, what: string): void {
  try {
    action();
  } catch (error) {
    if (error instanceof SyntaxError) return;
    throw error;
  }
  throw new Error(`${what} does not throw`);
}
