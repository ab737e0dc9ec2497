// Runs the calls in the lines of the argument, one after another, and prints the outcome of each on a line.

import { cert, key } from "./certificate.ts";

const AsyncFunction = (async () => {}).constructor as new (body: string) => () => Promise<unknown>;

/** Rejects with the next uncaught exception: some Node.js built-in modules do not throw to their caller. */
let uncaught = Promise.withResolvers<never>();
process.on("uncaughtException", (error) => uncaught.reject(error));

async function outcome(call: string): Promise<string> {
  uncaught = Promise.withResolvers();
  try {
    const value = await Promise.race([new AsyncFunction(`return (${call})`)(), uncaught.promise]);
    return value instanceof Deno.PermissionStatus ? value.state : "allowed";
  } catch (error) {
    const { constructor, message } = error as Error;
    return `${constructor.name}: ${message.split("\n")[0]}`;
  }
}

// Calls have access to globals only.
const node = (name: string) => process.getBuiltinModule(name);
Object.assign(globalThis, { certificate: { cert, key }, node });

for (const call of Deno.args[0].split("\n")) console.log(await outcome(call));
// Does not wait for listeners and other resources that the calls have opened.
Deno.exit();
