// `crypto`: random values, digests, signatures, ciphers, derived keys and key formats.

import { equal, test, throws, throwsSync } from "./harness.ts";

const { subtle } = crypto;
const encode = (text: string) => new TextEncoder().encode(text);
const hex = (bytes: ArrayBuffer) => new Uint8Array(bytes).toHex();
const message = encode("message");

await test("random values fill an array of integers", () => {
  const bytes = new Uint8Array(1000);
  equal([crypto.getRandomValues(bytes) === bytes, new Set(bytes).size > 100], [true, true]);
  equal(crypto.getRandomValues(new BigInt64Array(2)).length, 2);
  const floats = new Float32Array(1) as unknown as Uint8Array<ArrayBuffer>;
  throwsSync(
    () => crypto.getRandomValues(floats),
    "DOMException",
    "The provided value is not an integer-type TypedArray",
  );
  const much =
    "The ArrayBufferView's byte length (65537) exceeds the number of bytes of entropy available via this API (65536)";
  throwsSync(() => crypto.getRandomValues(new Uint8Array(65537)), "QuotaExceededError", much);
});

await test("a random UUID is of version 4", () => {
  const uuid = crypto.randomUUID();
  equal(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid), true);
  equal(uuid === crypto.randomUUID(), false);
});

await test("digests match known values", async () => {
  const digest = async (name: string) => hex(await subtle.digest(name, encode("abc")));
  equal(await digest("SHA-1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  equal(await digest("SHA-256"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  equal((await digest("SHA-384")).slice(0, 16), "cb00753f45a35e8b");
  equal((await digest("sha-512")).slice(0, 16), "ddaf35a193617aba");
  await throws(() => digest("MD5"), "DOMException", "Algorithm 'MD5' is not supported");
});

await test("HMAC signs and verifies", async () => {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await subtle.importKey("raw", encode("key"), algorithm, true, ["sign", "verify"]);
  const signature = await subtle.sign("HMAC", key, message);
  equal(hex(signature), "6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a");
  equal(await subtle.verify("HMAC", key, signature, message), true);
  equal(await subtle.verify("HMAC", key, signature, encode("other")), false);
  equal((await subtle.exportKey("jwk", key)).k, "a2V5");
});

const signers: [
  string,
  AlgorithmIdentifier | RsaHashedKeyGenParams | EcKeyGenParams,
  AlgorithmIdentifier | RsaPssParams | EcdsaParams,
][] = [
  ["ECDSA", { name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-256" }],
  ["ECDSA with P-384", { name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-384" }],
  ["Ed25519", "Ed25519", "Ed25519"],
  ["RSASSA-PKCS1-v1_5", rsa("RSASSA-PKCS1-v1_5"), "RSASSA-PKCS1-v1_5"],
  ["RSA-PSS", rsa("RSA-PSS"), { name: "RSA-PSS", saltLength: 32 }],
];

function rsa(name: string): RsaHashedKeyGenParams {
  return { name, hash: "SHA-256", modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) };
}

for (const [name, generated, used] of signers) {
  await test(`${name} signs and verifies with a pair of keys`, async () => {
    const pair = await subtle.generateKey(generated, true, ["sign", "verify"]) as CryptoKeyPair;
    const signature = await subtle.sign(used, pair.privateKey, message);
    equal(await subtle.verify(used, pair.publicKey, signature, message), true);
    equal(await subtle.verify(used, pair.publicKey, signature, encode("other")), false);
    const spki = await subtle.exportKey("spki", pair.publicKey);
    const algorithm = pair.publicKey.algorithm as EcKeyImportParams;
    const imported = await subtle.importKey("spki", spki, algorithm, true, ["verify"]);
    equal(await subtle.verify(used, imported, signature, message), true);
    const pkcs8 = await subtle.exportKey("pkcs8", pair.privateKey);
    const signing = await subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
    equal(await subtle.verify(used, pair.publicKey, await subtle.sign(used, signing, message), message), true);
  });
}

for (const name of ["AES-GCM", "AES-CBC", "AES-CTR"]) {
  await test(`${name} encrypts and decrypts`, async () => {
    const key = await subtle.generateKey({ name, length: 256 }, true, ["encrypt", "decrypt"]);
    const start = crypto.getRandomValues(new Uint8Array(16));
    const algorithm = name === "AES-CTR" ? { name, counter: start, length: 64 } : { name, iv: start };
    const encrypted = await subtle.encrypt(algorithm, key, message);
    equal(hex(encrypted) === hex(message.buffer), false);
    equal(new Uint8Array(await subtle.decrypt(algorithm, key, encrypted)), message);
  });
}

await test("AES-GCM detects modifications", async () => {
  const key = await subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["encrypt", "decrypt"]);
  const algorithm = { name: "AES-GCM", iv: new Uint8Array(12), additionalData: encode("about") };
  const encrypted = new Uint8Array(await subtle.encrypt(algorithm, key, message));
  equal(encrypted.length, message.length + 16);
  encrypted[0] ^= 1;
  await throws(() => subtle.decrypt(algorithm, key, encrypted), "DOMException", "Decryption failed");
});

await test("RSA-OAEP encrypts and decrypts", async () => {
  const pair = await subtle.generateKey(rsa("RSA-OAEP"), false, ["encrypt", "decrypt"]);
  const encrypted = await subtle.encrypt("RSA-OAEP", pair.publicKey, message);
  equal(new Uint8Array(await subtle.decrypt("RSA-OAEP", pair.privateKey, encrypted)), message);
});

await test("keys are derived", async () => {
  const password = await subtle.importKey("raw", encode("password"), "PBKDF2", false, ["deriveBits", "deriveKey"]);
  const pbkdf2 = { name: "PBKDF2", salt: encode("salt"), iterations: 1, hash: "SHA-1" };
  equal(hex(await subtle.deriveBits(pbkdf2, password, 160)), "0c60c80f961f0e71f3a9b524af6012062fe037a6");
  const derived = await subtle.deriveKey(pbkdf2, password, { name: "AES-GCM", length: 128 }, true, ["encrypt"]);
  equal(hex(await subtle.exportKey("raw", derived)), "0c60c80f961f0e71f3a9b524af601206");
  const secret = await subtle.importKey("raw", new Uint8Array(22).fill(0x0b), "HKDF", false, ["deriveBits"]);
  const hkdf = {
    name: "HKDF",
    hash: "SHA-256",
    salt: Uint8Array.fromHex("000102030405060708090a0b0c"),
    info: Uint8Array.fromHex("f0f1f2f3f4f5f6f7f8f9"),
  };
  const known = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
  equal(hex(await subtle.deriveBits(hkdf, secret, 336)), known);
});

for (const algorithm of [{ name: "ECDH", namedCurve: "P-256" }, { name: "X25519" }]) {
  await test(`${algorithm.name} derives the same secret on both sides`, async () => {
    const pair = async () => await subtle.generateKey(algorithm, false, ["deriveBits"]) as CryptoKeyPair;
    const [one, other] = [await pair(), await pair()];
    const secret = (from: CryptoKeyPair, to: CryptoKeyPair) => {
      return subtle.deriveBits({ name: algorithm.name, public: to.publicKey }, from.privateKey, 256);
    };
    equal(hex(await secret(one, other)), hex(await secret(other, one)));
  });
}

await test("a key is wrapped in another", async () => {
  const wrapping = await subtle.generateKey({ name: "AES-KW", length: 128 }, false, ["wrapKey", "unwrapKey"]);
  const key = await subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt"]);
  const wrapped = await subtle.wrapKey("raw", key, wrapping, "AES-KW");
  equal(wrapped.byteLength, 40);
  const unwrapped = await subtle.unwrapKey("raw", wrapped, wrapping, "AES-KW", "AES-GCM", true, ["encrypt"]);
  equal(hex(await subtle.exportKey("raw", unwrapped)), hex(await subtle.exportKey("raw", key)));
});

await test("a key has usages, and rejects others", async () => {
  const key = await subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["encrypt"]);
  equal([key.type, key.extractable, key.usages], ["secret", false, ["encrypt"]]);
  equal([key.algorithm.name, (key.algorithm as AesKeyAlgorithm).length], ["AES-GCM", 128]);
  await throws(() => subtle.exportKey("raw", key), "DOMException", "Key is not extractable");
  const algorithm = { name: "AES-GCM", iv: new Uint8Array(12) };
  const wrong = "The requested operation is not valid for the provided key";
  await throws(() => subtle.decrypt(algorithm, key, new Uint8Array(16)), "DOMException", wrong);
});
