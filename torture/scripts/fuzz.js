// Runs the generated scripts with `torture`, both defined by the text before this one. Reports failures by the exit code.
const { exit, chdir, mkdirSync, umask } = Deno;
const [directory, reenters] = Deno.args;
const host = { openKv: Deno.openKv, KvU64: Deno.KvU64, path: `${directory}/db`, Deno, directory, reenters: reenters === "true" };
addEventListener("unhandledrejection", (event) => event.preventDefault());
addEventListener("error", (event) => event.preventDefault());
let violations = 0;
for (const script of scripts) {
  // Earlier scripts may have changed these.
  mkdirSync(directory, { recursive: true });
  chdir(directory);
  umask(0o22);
  for (const violation of await torture(host, script).catch((error) => [error])) {
    console.error(violation);
    violations++;
  }
}
// Not 0, the exit code of a process that exits before it gets here.
exit(violations === 0 ? 64 : 65);
