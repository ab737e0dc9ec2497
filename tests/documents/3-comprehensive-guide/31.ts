import { equal, output, throws } from "../harness.ts";

//# block

equal(output(), ["5n"]);
// "A wrapper around an unsigned bigint value".
await throws(() => new Deno.KvU64(-1n), "RangeError", "Value must be a positive bigint: received -1");
