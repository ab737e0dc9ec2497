// Runs the calls in the lines of the argument, one after another, and prints the outcome of each on a line.

import { cert, key } from "./certificate.ts";

const AsyncFunction = (async () => {}).constructor as new (body: string) => () => Promise<unknown>;

async function outcome(call: string): Promise<string> {
  try {
    const value = await new AsyncFunction(`return (${call})`)();
    return value instanceof Deno.PermissionStatus ? value.state : "allowed";
  } catch (error) {
    const { constructor, message } = error as Error;
    return `${constructor.name}: ${message.split("\n")[0]}`;
  }
}

// Calls have access to globals only.
Object.assign(globalThis, { certificate: { cert, key } });

for (const call of Deno.args[0].split("\n")) console.log(await outcome(call));
// Does not wait for listeners and other resources that the calls have opened.
Deno.exit();
