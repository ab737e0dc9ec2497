import { contents, equal, hasten, output, until } from "../harness.ts";

//# block

equal(output(), [`Active session: ${Deno.inspect(session)}`]);
equal([session!.userId, session!.token], ["user123", token]);
equal(session!.data, { ipAddress: "192.168.1.1", userAgent: "Mozilla/5.0..." });

// Another session with defaults, and one of another user.
const second = await sessionManager.createSession("user123");
const foreign = await sessionManager.createSession("user456", { theme: "dark" });
equal((await sessionManager.getSession(second))!.data, {});
equal(await sessionManager.getSession("no such token"), null);
const tokens = async (userId: string) => (await sessionManager.getUserSessions(userId)).map(({ token }) => token);
equal(await tokens("user123"), [token, second].sort());
equal(await tokens("user456"), [foreign]);
equal(await tokens("nobody"), []);

// Reading a session counts as activity.
await until(async () => (await sessionManager.getSession(token))!.lastActivity > session!.lastActivity);
equal((await sessionManager.getSession(token))!.createdAt, session!.createdAt);

// Deleting a session also deletes its reference.
await sessionManager.deleteSession(token);
await sessionManager.deleteSession("no such token");
equal(await sessionManager.getSession(token), null);
equal(await contents(kv, ["users", "user123"]), [[["users", "user123", "sessions", second], true]]);
equal(await tokens("user123"), [second]);

// The reference of an expired session remains until the sessions of the user are listed.
const requested = hasten(kv);
const brief = await sessionManager.createSession("user123");
await until(async () => (await kv.get(["sessions", brief])).value === null);
equal((await kv.get(["users", "user123", "sessions", brief])).value, true);
equal(await tokens("user123"), [second]);
equal(await contents(kv, ["users", "user123"]), [[["users", "user123", "sessions", second], true]]);
equal(await contents(kv, ["users", "user456"]), [[["users", "user456", "sessions", foreign], true]]);

// Reading a session extends it by 24 hours.
equal(requested, [24 * 60 * 60 * 1000, 24 * 60 * 60 * 1000]);
