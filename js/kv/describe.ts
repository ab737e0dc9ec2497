import { primordials } from "ext:core/mod.js";
import type { Inspect } from "ext:openkv/u64.ts";
import { list, type Mutation } from "ext:openkv/mutation.ts";
import { deserializeMessage } from "ext:openkv/message.ts";
import type { Check, Enqueue, Write } from "ext:openkv/write.ts";

const { ArrayPrototypeJoin, ArrayPrototypeMap, ArrayPrototypePush, SafeArrayIterator } = primordials;

/** Returns the text that `console.log` prints for an atomic operation: one line for each check, mutation and message. */
export function describe({ checks, mutations, enqueues }: Required<Write>, inspect: Inspect, options: unknown): string {
  const show = (value: unknown) => inspect(value, options);
  const lines = [
    ...new SafeArrayIterator(ArrayPrototypeMap(checks, (check: Check) => describeCheck(check, show))),
    ...new SafeArrayIterator(ArrayPrototypeMap(list(mutations), (mutation: Mutation) => describeMutation(mutation, show))),
    ...new SafeArrayIterator(ArrayPrototypeMap(enqueues, (message: Enqueue) => describeEnqueue(message, show))),
  ];
  return lines.length === 0 ? "AtomicOperation (empty)" : `AtomicOperation\n${ArrayPrototypeJoin(lines, "\n")}`;
}

type Show = (value: unknown) => string;

function describeCheck({ key, versionstamp }: Check, show: Show): string {
  const shown = versionstamp === null ? "null" : `"${versionstamp}"`;
  return `  check({ key: ${show(key)}, versionstamp: ${shown} })`;
}

function describeMutation({ name, key, hasValue, value, expireIn }: Mutation, show: Show): string {
  const shown = key === undefined ? "[invalid key]" : show(key);
  if (!hasValue) return `  ${name}(${shown})`;
  const options = expireIn === undefined ? "" : `, { expireIn: ${expireIn} }`;
  return `  ${name}(${shown}, ${show(value)}${options})`;
}

function describeEnqueue({ message, delay, keysIfUndelivered, backoffSchedule }: Enqueue, show: Show): string {
  const options: string[] = [];
  if (delay !== 0) ArrayPrototypePush(options, `delay: ${delay}`);
  if (keysIfUndelivered.length > 0) ArrayPrototypePush(options, `keysIfUndelivered: ${show(keysIfUndelivered)}`);
  if (backoffSchedule !== undefined) ArrayPrototypePush(options, `backoffSchedule: ${show(backoffSchedule)}`);
  const shown = options.length === 0 ? "" : `, { ${ArrayPrototypeJoin(options, ", ")} }`;
  return `  enqueue(${show(deserializeMessage(message))}${shown})`;
}
