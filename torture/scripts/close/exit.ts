// Writes to a database, closes it or not, and exits in one of several ways.
import { type Kind, say, Writer } from "./write.ts";

const [path, exit, kind, closes] = Deno.args as [string, string, Kind, "true" | "false"];

const writer = await Writer.open(path, kind);
await writer.use();
const close = () => {
  if (closes === "true") writer.close(false);
};
/** Keeps the process alive. */
const wait = () => new Promise<never>(() => setInterval(() => {}, 1000));

switch (exit) {
  case "kill":
    close();
    Deno.kill(Deno.pid, "SIGKILL");
    await wait();
    break;
  case "exit":
    close();
    Deno.exit(0);
    break;
  case "throw":
    close();
    throw new Error("planned");
  case "reject":
    close();
    Promise.reject(new Error("planned"));
    await wait();
    break;
  case "signal":
    Deno.addSignalListener("SIGTERM", () => {
      close();
      Deno.exit(0);
    });
    Deno.kill(Deno.pid, "SIGTERM");
    await wait();
    break;
  case "end":
    close();
    break;
  default:
    say(`unknown exit: ${exit}`);
}
