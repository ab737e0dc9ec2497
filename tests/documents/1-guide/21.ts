import { contents, equal, hasten, memory, stopClock, until } from "../harness.ts";

//# block

const clock = stopClock();
const start = clock.now;

// A hundred requests within a minute are answered, and the next is not.
for (let request = 0; request < 100; request++) {
  const response = await handleRequest("alice");
  equal([response.status, await response.text()], [200, "OK"]);
  equal(response.headers.get("X-RateLimit-Remaining"), String(99 - request));
  equal(response.headers.get("X-RateLimit-Reset"), new Date(clock.now + 60_000).toISOString());
  clock.now++;
}
const refusal = await handleRequest("alice");
equal([refusal.status, await refusal.text()], [429, "Rate limit exceeded"]);
equal(refusal.headers.get("X-RateLimit-Remaining"), "0");
equal(refusal.headers.get("X-RateLimit-Reset"), new Date(clock.now + 60_000).toISOString());
equal((await contents(kv, ["ratelimit", "alice"])).length, 100);

// Another one has a limit of their own.
equal(await limiter.checkLimit("bob"), { allowed: true, remaining: 99, resetAt: new Date(clock.now + 60_000) });

// The window slides: at its full length after the first request, that still counts, and a millisecond later no more.
clock.now = start + 60_000;
equal((await limiter.checkLimit("alice")).allowed, false);
clock.now++;
equal(await limiter.checkLimit("alice"), { allowed: true, remaining: 0, resetAt: new Date(clock.now + 60_000) });
equal((await limiter.checkLimit("alice")).allowed, true);
clock.now = start + 200_000;
equal((await limiter.checkLimit("alice")).remaining, 99);

// After a reset all are free again, of this one alone.
await limiter.reset("alice");
equal(await contents(kv, ["ratelimit", "alice"]), []);
equal((await contents(kv, ["ratelimit", "bob"])).length, 1);
equal((await limiter.checkLimit("alice")).remaining, 99);

// Requests of one millisecond do not count each other: the range ends before it.
const small = new RateLimiter(await memory(), 2, 60_000);
for (let request = 0; request < 5; request++) {
  const { allowed, remaining } = await small.checkLimit("burst");
  equal([allowed, remaining], [true, 1]);
}
clock.now++;
equal((await small.checkLimit("burst")).allowed, false);

// Records of requests expire with the window.
const brief = await memory();
const asked = hasten(brief);
const expiring = new RateLimiter(brief, 1, 60_000);
equal((await expiring.checkLimit("alice")).allowed, true);
clock.now++;
await until(async () => (await expiring.checkLimit("alice")).allowed);
equal(asked, [60_000, 60_000]);
