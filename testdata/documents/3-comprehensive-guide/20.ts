//
const user = kv.get(["user", 123])
const ok = kv.atomic().
  // make sure versionstamp has not changed after last get()
  .check(user)
  // update phone number
  .set(["user", user.id], {...user.value, phone: "2070987654"  })
  .commit();
