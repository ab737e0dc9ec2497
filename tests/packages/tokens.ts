// Signed and encrypted sessions: jose.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as jose from "jose";

const kv = await Deno.openKv(":memory:");

for (const alg of ["ES256", "EdDSA", "RS256", "PS256"]) {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  await kv.set(["keys", alg], await jose.exportJWK(publicKey));
  const token = await new jose.SignJWT({ user: "ada" }).setProtectedHeader({ alg }).setIssuedAt()
    .setExpirationTime("1h").sign(privateKey);
  const jwk = (await kv.get<jose.JWK>(["keys", alg])).value!;
  const { payload, protectedHeader } = await jose.jwtVerify(token, await jose.importJWK(jwk, alg));
  assert.equal(payload.user, "ada");
  assert.equal(protectedHeader.alg, alg);
  const [head, , signature] = token.split(".");
  const forged = [head, Buffer.from('{"user":"eve"}').toString("base64url"), signature].join(".");
  await assert.rejects(jose.jwtVerify(forged, publicKey), jose.errors.JWSSignatureVerificationFailed);
}

const secret = crypto.getRandomValues(new Uint8Array(32));
const expired = await new jose.SignJWT().setProtectedHeader({ alg: "HS256" }).setExpirationTime(1).sign(secret);
await assert.rejects(jose.jwtVerify(expired, secret), jose.errors.JWTExpired);

const encrypted = await new jose.EncryptJWT({ secret: 42 }).setProtectedHeader({ alg: "dir", enc: "A256GCM" })
  .encrypt(secret);
assert.deepEqual((await jose.jwtDecrypt(encrypted, secret)).payload, { secret: 42 });

kv.close();
console.log("tokens are verified");
