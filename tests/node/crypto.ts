// Tests of node:crypto.

import crypto from "node:crypto";
import { equal, test, throws } from "../conformance/harness.ts";

await test("node:crypto hashes and signs", () => {
  equal(
    crypto.createHash("sha256").update("a").update("b").digest("hex"),
    "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603",
  );
  equal(crypto.createHash("md5").update("a").digest("hex"), "0cc175b9c0f1b6a831c399e269772661");
  equal(crypto.createHmac("sha1", "key").update("a").digest("base64"), "DbIfBQUvMj5xTvm/H3sAD/6X6KA=");
  equal(crypto.hash("sha1", "a"), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
  for (
    const [type, options] of [["ed25519", {}], ["rsa", { modulusLength: 1024 }], ["ec", {
      namedCurve: "P-256",
    }]] as const
  ) {
    const { privateKey, publicKey } = crypto.generateKeyPairSync(type as "rsa", options as { modulusLength: number });
    const algorithm = type === "ed25519" ? null : "sha256";
    const signature = crypto.sign(algorithm, Buffer.from("text"), privateKey);
    equal(crypto.verify(algorithm, Buffer.from("text"), publicKey, signature), true);
    equal(crypto.verify(algorithm, Buffer.from("test"), publicKey, signature), false);
    equal(crypto.createPublicKey(publicKey.export({ type: "spki", format: "pem" })).asymmetricKeyType, type);
  }
});

await test("node:crypto encrypts", () => {
  const [key, iv] = [Buffer.alloc(32, 1), Buffer.alloc(12, 2)];
  const cipher = crypto.createCipheriv("aes-256-gcm", key, iv);
  const encrypted = Buffer.concat([cipher.update("secret"), cipher.final()]);
  const decipher = crypto.createDecipheriv("aes-256-gcm", key, iv);
  decipher.setAuthTag(cipher.getAuthTag());
  equal(Buffer.concat([decipher.update(encrypted), decipher.final()]).toString(), "secret");
});

await test("node:crypto derives keys", async () => {
  equal(crypto.pbkdf2Sync("a", "b", 1, 8, "sha256").toString("hex").length, 16);
  equal(crypto.scryptSync("a", "b", 16).length, 16);
  equal(new Uint8Array(crypto.hkdfSync("sha256", "a", "b", "c", 8)).length, 8);
  equal(await new Promise((resolve) => crypto.scrypt("a", "b", 4, (_error, key) => resolve(key.length))), 4);
  const [one, two] = [crypto.createECDH("secp256k1"), crypto.createECDH("secp256k1")];
  const keys = [one.generateKeys(), two.generateKeys()];
  equal(one.computeSecret(keys[1]), two.computeSecret(keys[0]));
});

await test("node:crypto generates random numbers and compares in constant time", async () => {
  equal([crypto.randomBytes(3).length, crypto.randomUUID().length, crypto.randomInt(1)], [3, 36, 0]);
  equal(crypto.timingSafeEqual(Buffer.of(1), Buffer.of(1)), true);
  await throws(() => crypto.timingSafeEqual(Buffer.of(1), Buffer.of(1, 2)), "RangeError");
  equal(crypto.webcrypto.subtle === globalThis.crypto.subtle, true);
});

await test("keys convert between node:crypto and WebCrypto", async () => {
  const key = crypto.createSecretKey(Buffer.alloc(16));
  equal(key.equals(crypto.KeyObject.from(key.toCryptoKey({ name: "AES-GCM" }, true, ["encrypt"]))), true);
  equal(structuredClone(key).equals(key), true);
  const web = await globalThis.crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
  equal(crypto.KeyObject.from(web).type, "secret");
});
