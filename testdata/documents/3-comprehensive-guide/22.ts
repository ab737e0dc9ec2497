function createUser(user: User, address: Address, phone: Phone) {
  const userId = crypto.randomUUID();
  address.userId = userId;
  phone.userId = userId;
  const userKey = ["user", userId];
  const addressKey = ["address", userId];
  const phoneKey = ["phone", userId];
  await kv.atomic()
    // checks may be superfluous
    .check({key: userKey, versionstamp: null})
    .check({key: addressKey, versionstamp: null})
    .check({key: phoneKey, versionstamp: null})
    .set(userKey, user)
    .set(addressKey, address)
    .set(phoneKey, phone)
    .commit();
}

