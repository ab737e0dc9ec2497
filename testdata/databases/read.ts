// Prints a database, entry by entry, for testdata/databases/make and the tests.
const kv = await Deno.openKv(Deno.args[0]);
for await (const { key, value, versionstamp } of kv.list({ prefix: [] })) {
  const same = await kv.get(key);
  // A stack names the files of the machine that wrote it.
  const shown = value instanceof Error ? `${value.name}: ${value.message}` : value;
  console.log(key, shown, versionstamp, same.versionstamp === versionstamp);
}
kv.close();
