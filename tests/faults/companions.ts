// Deletes the WAL or the WAL index of an open database, while another process may write to it.
import { attempt } from "./attempt.ts";

const [suffix, action] = Deno.args;
const name = `${suffix}-${action}.sqlite3`;
const kv = await Deno.openKv(name);
await kv.set(["before"], 1);
Deno.removeSync(`${name}-${suffix}`);
if (suffix === "shm") {
  const script = "const kv = await Deno.openKv(Deno.args[0]); await kv.set(['other'], 1); kv.close();";
  Deno.writeTextFileSync("other.ts", script);
  const { code, stderr } = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "other.ts", name] }).outputSync();
  if (code !== 0) console.log(new TextDecoder().decode(stderr));
}
if (action === "kill" || action === "write") await attempt("write", () => kv.set(["after"], 1));
if (action === "kill") Deno.kill(Deno.pid, "SIGKILL");
kv.close();
