// Values of entries: date-fns, lodash, superjson and zod.

import assert from "node:assert/strict";
import { addMonths, differenceInCalendarDays, format, formatISO, parseISO } from "date-fns";
import { de } from "date-fns/locale";
import _ from "lodash";
import groupBy from "lodash/groupBy.js";
import superjson from "superjson";
import { z } from "zod";

const kv = await Deno.openKv(":memory:");

const Order = z.object({
  id: z.uuid(),
  due: z.date(),
  lines: z.array(z.object({ name: z.string().min(1), count: z.int().positive() })),
  total: z.bigint().optional(),
});
const order = Order.parse({
  id: "0188d3a6-5a1c-4b5e-9d5e-3f1f5b1c2d3e",
  due: addMonths(parseISO("2024-01-31T12:00:00Z"), 1),
  lines: [{ name: "tea", count: 2 }, { name: "tea", count: 1 }, { name: "milk", count: 1 }],
  total: 12n,
});
await kv.set(["orders", order.id], order);
const stored = Order.parse((await kv.get(["orders", order.id])).value);
assert.deepEqual(stored, order);
assert.equal(stored.due.toISOString(), "2024-02-29T12:00:00.000Z");
assert.equal(differenceInCalendarDays(parseISO("2024-03-01"), parseISO("2024-02-28")), 2);
assert.equal(format(new Date(2024, 4, 1), "d. MMMM yyyy", { locale: de }), "1. Mai 2024");
assert.equal(formatISO(new Date(2024, 4, 1), { representation: "date" }), "2024-05-01");

const counts = _.mapValues(groupBy(stored.lines, "name"), (lines) => _.sumBy(lines, "count"));
assert.deepEqual(counts, { tea: 3, milk: 1 });
assert.deepEqual(_.chunk(_.range(5), 2), [[0, 1], [2, 3], [4]]);
assert(_.isEqual(_.cloneDeep(stored), stored));

await kv.set(["json"], superjson.stringify({ stored, tags: new Set(["a"]), map: new Map([[1, undefined]]) }));
const json = superjson.parse<{ stored: unknown; tags: Set<string>; map: Map<number, undefined> }>(
  (await kv.get<string>(["json"])).value!,
);
assert.deepEqual(json, { stored, tags: new Set(["a"]), map: new Map([[1, undefined]]) });

const failure = Order.safeParse({ ...order, id: "none", lines: [{ name: "", count: 0 }] });
assert(!failure.success);
assert.deepEqual(failure.error.issues.map((issue) => issue.path.join(".")), ["id", "lines.0.name", "lines.0.count"]);

kv.close();
console.log("values:", counts);
