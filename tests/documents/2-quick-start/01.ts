import { contents, equal, output } from "../harness.ts";

//# block

equal(output(), ['{ name: "Alice", email: "alice@example.com" }']);
equal(result.key, ["users", "alice"]);
equal(await contents(kv), []);
