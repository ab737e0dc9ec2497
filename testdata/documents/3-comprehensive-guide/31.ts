// TODO: Better example
const num = new Deno.KvU64(5n);
console.log(num.value)
