const encoder = new TextEncoder();

/** Prints a line without delay. */
export function say(line: string) {
  Deno.stdout.writeSync(encoder.encode(`${line}\n`));
}

/** Waits, measured by a clock that is not stepped. */
export const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
