const kv = await Deno.openKv();

Deno.serve(async () => {
  // Increment counter atomically
  const key = ["requests"];

  let result = { ok: false };
  while (!result.ok) {
    const current = await kv.get<number>(key);
    const newCount = (current.value ?? 0) + 1;

    result = await kv.atomic()
      .check(current)
      .set(key, newCount)
      .commit();
  }

  const count = (await kv.get<number>(key)).value;
  return new Response(`Requests: ${count}`);
});
