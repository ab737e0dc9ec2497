import { core } from "ext:core/mod.js";
import { errorClass } from "ext:openkv/errors.ts";

const { BadResource, Interrupted, NotCapable } = core;
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");

/** The classes of `Deno.errors`, apart from those that deno_core defines. */
const NAMES = [
  "NotFound",
  "PermissionDenied",
  "ConnectionRefused",
  "ConnectionReset",
  "ConnectionAborted",
  "NotConnected",
  "AddrInUse",
  "AddrNotAvailable",
  "BrokenPipe",
  "AlreadyExists",
  "InvalidData",
  "TimedOut",
  "WriteZero",
  "WouldBlock",
  "UnexpectedEof",
  "Http",
  "Busy",
  "NotSupported",
  "FilesystemLoop",
  "IsADirectory",
  "NetworkUnreachable",
  "NotADirectory",
] as const;

/** The names of the DOMExceptions that ops throw: their class is "DOMException" followed by the name. */
const DOM_NAMES = [
  "AbortError",
  "DataError",
  "IndexSizeError",
  "InvalidAccessError",
  "InvalidCharacterError",
  "InvalidStateError",
  "NetworkError",
  "NotSupportedError",
  "OperationError",
  "SyntaxError",
  "TypeMismatchError",
] as const;

/** `Deno.errors`. */
export const errors: Record<string, ErrorConstructor> = { BadResource, Interrupted, NotCapable };

for (let i = 0; i < NAMES.length; i++) {
  const name = NAMES[i];
  errors[name] = errorClass(name);
  core.registerErrorClass(name, errors[name]);
}
for (let i = 0; i < DOM_NAMES.length; i++) {
  const name = DOM_NAMES[i];
  core.registerErrorBuilder(`DOMException${name}`, (message: string) => new DOMException(message, name));
}
core.registerErrorBuilder(
  "DOMExceptionQuotaExceededError",
  (message: string) => new QuotaExceededError(message),
);
