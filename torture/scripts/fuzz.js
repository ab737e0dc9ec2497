// Runs generated scripts, which what stands before this torture: their calls may take nothing down. Told by the exit code.
const { exit, chdir, mkdirSync, umask } = Deno;
const [directory, reenters] = Deno.args;
const host = { openKv: Deno.openKv, KvU64: Deno.KvU64, path: `${directory}/db`, Deno, directory, reenters: reenters === "true" };
addEventListener("unhandledrejection", (event) => event.preventDefault());
addEventListener("error", (event) => event.preventDefault());
let broken = 0;
for (const script of scripts) {
  // Scripts before may have changed any of it.
  mkdirSync(directory, { recursive: true });
  chdir(directory);
  umask(0o22);
  const promises = await torture(host, script).catch((error) => [error]);
  for (const promise of promises) {
    console.error(promise);
    broken++;
  }
}
// Not 0, which the process would end with as well if nothing were left to do.
exit(broken === 0 ? 64 : 65);
