Deno.test("name and function", () => {});
Deno.test(function nameOfTheFunction() {});
Deno.test({ name: "options", fn() {} });
Deno.test({ ignore: false }, function optionsAndFunction() {});
Deno.test("name, options and function", { ignore: false }, async () => await Promise.resolve());
Deno.test.ignore("ignored", () => {
  throw new Error("not run");
});
Deno.test({ name: "ignored by an option", ignore: true, fn: () => {} });
Deno.test("a\tname\nof two lines", (t) => console.log(t.name === "a\tname\nof two lines", t.origin === import.meta.url));

Deno.test.each([[1, 2, 3], [2, 3, 5]])("%i + %d = %s", (a, b, sum) => {
  if (a + b !== sum) throw new Error("wrong sum");
});
Deno.test.each([{ key: ["a"], of: { n: 1 } }])("$key $of.n $none %j %# %%", (value, t) => {
  console.log(value, t.name);
});
Deno.test.ignore.each([1, 2])("ignored case %i", () => {});

for (
  const wrong of [
    () => Deno.test("", () => {}),
    () => Deno.test(() => {}),
    () => Deno.test("no function"),
    () => Deno.test({ name: "no function" }),
    () => Deno.test({ name: "two functions", fn() {} }, () => {}),
    () => Deno.test("two names", { name: "b" }, () => {}),
    () => Deno.test(null),
    () => Deno.test.each(1),
    () => Deno.test.each([1])("no function"),
    () => Deno.test.beforeAll(1),
  ]
) {
  try {
    wrong();
    console.log("accepted", wrong.toString());
  } catch (error) {
    console.log(`${error}`);
  }
}
