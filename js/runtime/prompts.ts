import { core, primordials } from "ext:core/mod.js";

const { ArrayPrototypePush, Uint8Array } = primordials;
const loadIo = () => core.loadExtScript("ext:deno_io/12_io.js");

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** Reads a line from stdin, without its terminator. Returns `null` at the end of the input. */
function readLine(): string | null {
  const { stdin } = loadIo();
  const byte = new Uint8Array(1);
  const line: number[] = [];
  while (stdin.readSync(byte)) {
    if (byte[0] === LINE_FEED) {
      if (line[line.length - 1] === CARRIAGE_RETURN) line.length--;
      return core.decode(new Uint8Array(line));
    }
    ArrayPrototypePush(line, byte[0]);
  }
  return line.length === 0 ? null : core.decode(new Uint8Array(line));
}

/** Prints a question to the terminal. Returns the line that the user enters, or `null` without a terminal. */
function ask(question: string): string | null {
  if (!loadIo().stdin.isTerminal()) return null;
  core.print(question, false);
  return readLine();
}

export function alert(message = "Alert") {
  ask(`${message} [Enter] `);
}

export function confirm(message = "Confirm") {
  const answer = ask(`${message} [y/N] `);
  return answer === "y" || answer === "Y";
}

export function prompt(message = "Prompt", defaultValue = "") {
  const shown = defaultValue === "" ? "" : `[${defaultValue}] `;
  const answer = ask(message === "" ? shown : `${message} ${shown}`);
  return answer === "" ? `${defaultValue}` : answer;
}
