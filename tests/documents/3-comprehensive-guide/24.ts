import { equal, memory, output } from "../harness.ts";

const kv: any = await memory();
const userId = "a12345";
const versions: string[] = [];
for (const date of [1000, 2000, 3000]) {
  const { versionstamp } = await kv.set(["user", userId], { date });
  await kv.set(["user_versionstamp", userId, versionstamp], { version: versionstamp, date });
  versions.push(versionstamp);
}
await kv.set(["user_versionstamp", "another", versions[0]], { version: versions[0], date: 1 });

//# block

equal(output(), [
  `Version: ${versions[2]} Date: 3000`,
  `Version: ${versions[1]} Date: 2000`,
  `Version: ${versions[0]} Date: 1000`,
]);
