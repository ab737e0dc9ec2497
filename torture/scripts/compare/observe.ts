// Watches a key and listens for messages of another process, for a limited time. Prints "ready" once it does.
import { figure, sleep } from "./figure.ts";

const [path, seconds] = Deno.args;
const kv = await Deno.openKv(path);
let changed = false;
let received = false;
kv.listenQueue(() => void (received = true));
const reader = kv.watch([["watched"]]).getReader();
await reader.read();
console.log("ready");
reader.read().then(() => changed = true);
const end = Date.now() + Number(seconds) * 1000;
while (!(changed && received) && Date.now() < end) await sleep(10);
figure("a change by another process, seen by `watch`", changed ? "yes" : `not within ${seconds} s`, changed);
figure("a message of another process, delivered", received ? "yes" : `not within ${seconds} s`, received);
Deno.exit();
