let attempts = 0;
Deno.test("passes after retries", { retry: 3 }, () => {
  attempts += 1;
  if (attempts < 3) throw new Error(`attempt ${attempts}`);
});
Deno.test("never passes", { retry: 1 }, () => {
  throw new Error("always");
});
let runs = 0;
Deno.test("repeated", { repeats: 2 }, () => console.log("run", ++runs));
