//# because the second key follows the first without a semicolon, and so indexes it: each key separately
import { contents, equal, listed, memory } from "../harness.ts";

const kv = await memory();
const users = [["us-west", "alice"], ["us-east", "bob"], ["us-west", "carol"]];
for (const [region, userId] of users) {
  const [good] = [
    //# block 1-2
  ];
  const [bad] = [
    //# block 4-5
  ];
  // The hierarchical key contains the region of the user.
  await kv.set(good.with(2, region), userId);
  await kv.set(bad, userId);
}

equal(await contents(kv, ["users", "region", "us-west"]), [
  [["users", "region", "us-west", "alice"], "alice"],
  [["users", "region", "us-west", "carol"], "carol"],
]);

// A flat key has no prefix except the empty one.
equal(await contents(kv, ["user_us-west"]), []);
const filtered = (await listed<string>(kv.list({ prefix: [] }))).filter(([key]) =>
  String(key[0]).startsWith("user_us-west")
);
equal(filtered, [[["user_us-west_alice"], "alice"], [["user_us-west_carol"], "carol"]]);
