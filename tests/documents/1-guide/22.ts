import { contents, equal, memory, output } from "../harness.ts";

//# block

// Each update stores another total of the player, and earlier ones remain: Alice's 100 points, before her last 50, are ranked like a
// third player. Equal scores are ordered by id.
equal(output(), ["#1: Alice - 150 points", "#2: Bob - 150 points", "#3: Alice - 100 points"]);
equal(top10, [
  { rank: 1, playerId: "player1", username: "Alice", score: 150n },
  { rank: 2, playerId: "player2", username: "Bob", score: 150n },
  { rank: 3, playerId: "player1", username: "Alice", score: 100n },
]);
const { value: alice } = await kv.get<Player>(["players", "player1"]);
const { lastPlayed, ...rest } = alice!;
equal(rest, { id: "player1", username: "Alice", score: 150n, achievements: ["first-win"] });
equal(lastPlayed instanceof Date, true);
equal(await contents(kv, ["scores"]), [
  [["scores", "player1"], new Deno.KvU64(150n)],
  [["scores", "player2"], new Deno.KvU64(150n)],
]);

// An achievement is granted once, and only to existing players.
const [[granted, date]] = await contents(kv, ["achievements"]);
equal([granted, date instanceof Date], [["achievements", "first-win", "player1"], true]);
await leaderboard.grantAchievement("player1", "first-win");
await leaderboard.grantAchievement("nobody", "first-win");
equal(await contents(kv, ["achievements"]), [[granted, date]]);
equal((await kv.get<Player>(["players", "player1"])).value, alice);

// Concurrent grants all succeed: those that lose the race are retried.
await Promise.all(["a", "b", "c", "d"].map((name) => leaderboard.grantAchievement("player2", name)));
equal((await kv.get<Player>(["players", "player2"])).value!.achievements.toSorted(), ["a", "b", "c", "d"]);

// From the highest score to the lowest, regardless of the number of digits; ten by default, or the given number.
const ranking = new GameLeaderboard(await memory());
const scores = [7n, 1000n, 0n, 99n, 100n, 3n, 12n, 2n ** 53n - 1n, 500n, 8n, 10n, 1n];
for (const [at, score] of scores.entries()) await ranking.updateScore(`id${at}`, `name${at}`, score);
const descending = scores.toSorted((a, b) => a < b ? 1 : -1);
const top = await ranking.getTopPlayers();
equal(top.map(({ score }) => score), descending.slice(0, 10));
equal(top.map(({ rank }) => rank), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
equal(top[0], { rank: 1, playerId: "id7", username: "name7", score: 2n ** 53n - 1n });
equal(await ranking.getTopPlayers(3), top.slice(0, 3));
equal((await ranking.getTopPlayers(100)).length, scores.length);

// Concurrent updates are all counted, in both places.
const database = await memory();
const contested = new GameLeaderboard(database);
await contested.updateScore("eve", "Eve", 1n);
await Promise.all(Array.from({ length: 20 }, () => contested.updateScore("eve", "Eve", 5n)));
equal((await database.get<Player>(["players", "eve"])).value!.score, 101n);
equal((await database.get(["scores", "eve"])).value, new Deno.KvU64(101n));
equal(await contested.getTopPlayers(1), [{ rank: 1, playerId: "eve", username: "Eve", score: 101n }]);
