import { contents, equal, hasten, memory, stopClock, until } from "../harness.ts";

//# block

const clock = stopClock();
const start = clock.now;

// A hundred requests within a minute are allowed, and the next is rejected.
for (let request = 0; request < 100; request++) {
  const response = await handleRequest("alice");
  equal([response.status, await response.text()], [200, "OK"]);
  equal(response.headers.get("X-RateLimit-Remaining"), String(99 - request));
  equal(response.headers.get("X-RateLimit-Reset"), new Date(clock.now + 60_000).toISOString());
  clock.now++;
}
const rejection = await handleRequest("alice");
equal([rejection.status, await rejection.text()], [429, "Rate limit exceeded"]);
equal(rejection.headers.get("X-RateLimit-Remaining"), "0");
equal(rejection.headers.get("X-RateLimit-Reset"), new Date(clock.now + 60_000).toISOString());
equal((await contents(kv, ["ratelimit", "alice"])).length, 100);

// Another client has a separate limit.
equal(await limiter.checkLimit("bob"), { allowed: true, remaining: 99, resetAt: new Date(clock.now + 60_000) });

// The window slides: the first request counts until the full length of the window, but not a millisecond longer.
clock.now = start + 60_000;
equal((await limiter.checkLimit("alice")).allowed, false);
clock.now++;
equal(await limiter.checkLimit("alice"), { allowed: true, remaining: 0, resetAt: new Date(clock.now + 60_000) });
equal((await limiter.checkLimit("alice")).allowed, true);
clock.now = start + 200_000;
equal((await limiter.checkLimit("alice")).remaining, 99);

// A reset only applies to this client.
await limiter.reset("alice");
equal(await contents(kv, ["ratelimit", "alice"]), []);
equal((await contents(kv, ["ratelimit", "bob"])).length, 1);
equal((await limiter.checkLimit("alice")).remaining, 99);

// Requests of the same millisecond do not count each other: the range ends before it.
const small = new RateLimiter(await memory(), 2, 60_000);
for (let request = 0; request < 5; request++) {
  const { allowed, remaining } = await small.checkLimit("burst");
  equal([allowed, remaining], [true, 1]);
}
clock.now++;
equal((await small.checkLimit("burst")).allowed, false);

// The entries of requests expire with the window.
const brief = await memory();
const requested = hasten(brief);
const expiring = new RateLimiter(brief, 1, 60_000);
equal((await expiring.checkLimit("alice")).allowed, true);
clock.now++;
await until(async () => (await expiring.checkLimit("alice")).allowed);
equal(requested, [60_000, 60_000]);
