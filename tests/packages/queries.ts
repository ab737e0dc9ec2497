// SQL builders whose drivers store in KV: drizzle-orm and kysely.

import assert from "node:assert/strict";
import { count, eq, gt, sql } from "drizzle-orm";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { drizzle } from "drizzle-orm/sqlite-proxy";
import {
  type CompiledQuery,
  type DatabaseConnection,
  DummyDriver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";

const kv = await Deno.openKv(":memory:");
const users = sqliteTable("users", {
  id: integer().primaryKey({ autoIncrement: true }),
  name: text().notNull(),
  data: text({ mode: "json" }).$type<{ age: number }>(),
});

/** Records the statement, and returns the rows of the table. */
const statements: string[] = [];
const db = drizzle(async (statement, params, method) => {
  statements.push(`${method} ${statement} ${JSON.stringify(params)}`);
  if (statement.startsWith("insert")) {
    const id = (await Array.fromAsync(kv.list({ prefix: ["users"] }))).length + 1;
    await kv.set(["users", id], [id, ...params]);
    return { rows: [[id, ...params]] };
  }
  if (statement.includes("count(*)")) {
    return { rows: [[(await Array.fromAsync(kv.list({ prefix: ["users"] }))).length]] };
  }
  const rows = await Array.fromAsync(kv.list<unknown[]>({ prefix: ["users"] }), (entry) => entry.value);
  return { rows: method === "get" ? rows[0] : rows };
});
const [ada] = await db.insert(users).values({ name: "Ada", data: { age: 36 } }).returning();
assert.deepEqual(ada, { id: 1, name: "Ada", data: { age: 36 } });
await db.insert(users).values({ name: "Bob", data: { age: 7 } });
assert.deepEqual(await db.select().from(users).where(gt(users.id, 0)), [
  { id: 1, name: "Ada", data: { age: 36 } },
  { id: 2, name: "Bob", data: { age: 7 } },
]);
assert.deepEqual(await db.select({ n: count() }).from(users), [{ n: 2 }]);
assert.deepEqual(await db.select().from(users).where(eq(sql`lower(${users.name})`, "ada")).get(), ada);
assert.deepEqual(statements, [
  'all insert into "users" ("id", "name", "data") values (null, ?, ?) returning "id", "name", "data" ["Ada","{\\"age\\":36}"]',
  'run insert into "users" ("id", "name", "data") values (null, ?, ?) ["Bob","{\\"age\\":7}"]',
  'all select "id", "name", "data" from "users" where "users"."id" > ? [0]',
  'all select count(*) from "users" []',
  'get select "id", "name", "data" from "users" where lower("users"."name") = ? ["ada"]',
]);

interface Schema {
  pets: { owner: number; name: string };
}

class KvConnection implements DatabaseConnection {
  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    if (sql.startsWith("insert")) {
      const [owner, name] = parameters as [number, string];
      await kv.set(["pets", owner, name], { owner, name });
      return { rows: [], numAffectedRows: 1n };
    }
    assert.equal(sql, 'select "owner", "name" from "pets" where "owner" = ? order by "name" desc limit ?');
    const [owner, limit] = parameters as [number, number];
    const entries = kv.list<R>({ prefix: ["pets", owner] }, { reverse: true, limit });
    return { rows: await Array.fromAsync(entries, (entry) => entry.value) };
  }
  // deno-lint-ignore require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("not supported");
  }
}

class KvDriver extends DummyDriver {
  override acquireConnection = () => Promise.resolve(new KvConnection());
}

const pets = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new KvDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});
for (const name of ["Rex", "Tom", "Ace"]) {
  const { numInsertedOrUpdatedRows } = await pets.insertInto("pets").values({ owner: 1, name })
    .executeTakeFirstOrThrow();
  assert.equal(numInsertedOrUpdatedRows, 1n);
}
const found = await pets.selectFrom("pets").select(["owner", "name"]).where("owner", "=", 1).orderBy("name", "desc")
  .limit(2).execute();
assert.deepEqual(found, [{ owner: 1, name: "Tom" }, { owner: 1, name: "Rex" }]);
await pets.destroy();

kv.close();
console.log("statements:", statements.length, found.length);
