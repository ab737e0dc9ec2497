// Makes calls one after another, given as lines of the argument, and prints a line for each: what came of it.

import { cert, key } from "./certificate.ts";

const AsyncFunction = (async () => {}).constructor as new (body: string) => () => Promise<unknown>;

/** Rejects with what is thrown where no call waits for it, as by some modules of Node.js. */
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

// Calls see what is global alone.
const node = (name: string) => process.getBuiltinModule(name);
Object.assign(globalThis, { certificate: { cert, key }, node });

for (const call of Deno.args[0].split("\n")) console.log(await outcome(call));
// Listeners and the like that calls opened do not matter any more.
Deno.exit();
