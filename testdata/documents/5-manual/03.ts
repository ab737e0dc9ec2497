const key = ["users", "alice"];
const value = { birthday: "January 1, 1990" };
const res = await kv.atomic()
  .check({ key, versionstamp: null }) // `null` versionstamps mean 'no value'
  .set(key, value)
  .commit();
if (res) {
  console.log("User did not yet exist. Inserted!");
} else {
  console.log("User already exists.");
}
