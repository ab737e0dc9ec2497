// Starts workers with permissions of their own, and prints which they have.
const source = `
  const states = {};
  for (const name of ["read", "write", "net", "env", "sys", "run", "ffi", "import"]) {
    states[name] = (await Deno.permissions.query({ name })).state;
  }
  states.file = await Deno.readTextFile(${JSON.stringify(Deno.args[0])}).then(() => "read", (error) => error.name);
  postMessage(Object.entries(states).filter(([, state]) => state !== "prompt").map((entry) => entry.join(" ")).join(", "));
  close();`;
const url = `data:application/javascript,${encodeURIComponent(source)}`;

function run(permissions: unknown): Promise<string> {
  return new Promise((resolve) => {
    const options = { type: "module", deno: { permissions } } as WorkerOptions;
    try {
      const worker = new Worker(url, options);
      worker.onmessage = ({ data }) => resolve(data);
    } catch (error) {
      resolve(`${(error as Error).name}: ${(error as Error).message}`);
    }
  });
}

const choices = [
  undefined,
  "inherit",
  "none",
  {},
  { read: true },
  { read: [Deno.args[0]] },
  { read: [new URL(`file://${Deno.args[0]}`)] },
  { read: "inherit", net: false },
  { net: ["example.com:80"] },
  { run: ["/bin/ls"], env: ["HOME"], sys: ["hostname"] },
  true,
  "some",
  { read: 1 },
  { read: [1] },
];
for (const permissions of choices) console.log(JSON.stringify(permissions), "→", await run(permissions));
