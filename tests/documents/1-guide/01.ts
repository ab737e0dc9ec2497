//# because `kv` is declared twice: each way to open a database in its own scope
//# flags --allow-read=my-database.db --allow-write=my-database.db
import { contents, equal } from "../harness.ts";

{
  //# block 1-2
  await kv.set(["opened"], "the default");
  equal(await contents(await Deno.openKv()), [[["opened"], "the default"]]);
}
{
  //# block 4-5
  equal(await contents(kv), []);
  await kv.set(["opened"], "the file");
}
equal(await contents(await Deno.openKv("my-database.db")), [[["opened"], "the file"]]);
