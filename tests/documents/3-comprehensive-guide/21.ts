import { contents, equal, memory } from "../harness.ts";

const kv = await memory();

//# block

const user: User = { name: "Joan Smith", email: "jsmith@example.com" };
const address: Address = { street: "1 Main Street", city: "Portland", state: "ME", country: "US", postalCode: "04101" };
const phone: Phone = { cell: "2071231234" };
await kv.atomic().set(["user", 1], user).set(["address", 1], address).set(["phone", 1], phone).commit();
equal(await contents(kv), [[["address", 1], address], [["phone", 1], phone], [["user", 1], user]]);
