interface Player {
  id: string;
  username: string;
  score: bigint;
  achievements: string[];
  lastPlayed: Date;
}

class GameLeaderboard {
  constructor(private kv: Deno.Kv) {}
  
  async updateScore(playerId: string, username: string, points: bigint): Promise<void> {
    const playerKey = ["players", playerId];
    const scoreKey = ["scores", playerId];
    
    // Get current player data
    const current = await this.kv.get<Player>(playerKey);
    
    if (current.value) {
      // Update existing player
      const updated = await this.kv.atomic()
        .check(current)
        .set(playerKey, {
          ...current.value,
          score: current.value.score + points,
          lastPlayed: new Date()
        })
        .mutate({
          type: "sum",
          key: scoreKey,
          value: new Deno.KvU64(points)
        })
        .commit();
      
      if (!updated.ok) {
        // Retry on conflict
        await this.updateScore(playerId, username, points);
      }
    } else {
      // Create new player
      const player: Player = {
        id: playerId,
        username,
        score: points,
        achievements: [],
        lastPlayed: new Date()
      };
      
      await this.kv.atomic()
        .set(playerKey, player)
        .set(scoreKey, new Deno.KvU64(points))
        .commit();
    }
    
    // Update sorted leaderboard
    await this.updateLeaderboard(playerId, username, points);
  }
  
  private async updateLeaderboard(
    playerId: string,
    username: string,
    newScore: bigint
  ): Promise<void> {
    // Get current total score
    const scoreResult = await this.kv.get<Deno.KvU64>(["scores", playerId]);
    const totalScore = scoreResult.value?.value || 0n;
    
    // Store in sorted set (using negative score for descending order)
    const sortKey = (BigInt(Number.MAX_SAFE_INTEGER) - totalScore).toString().padStart(20, "0");
    await this.kv.set(
      ["leaderboard", sortKey, playerId],
      { playerId, username, score: totalScore }
    );
  }
  
  async getTopPlayers(limit: number = 10): Promise<Array<{
    rank: number;
    playerId: string;
    username: string;
    score: bigint;
  }>> {
    const players = [];
    const iter = this.kv.list({
      prefix: ["leaderboard"],
      limit
    });
    
    let rank = 1;
    for await (const entry of iter) {
      const data = entry.value as any;
      players.push({
        rank: rank++,
        playerId: data.playerId,
        username: data.username,
        score: data.score
      });
    }
    
    return players;
  }
  
  async grantAchievement(playerId: string, achievement: string): Promise<void> {
    const result = await this.kv.get<Player>(["players", playerId]);
    
    if (result.value && !result.value.achievements.includes(achievement)) {
      const updated = await this.kv.atomic()
        .check(result)
        .set(["players", playerId], {
          ...result.value,
          achievements: [...result.value.achievements, achievement]
        })
        .set(["achievements", achievement, playerId], new Date())
        .commit();
      
      if (!updated.ok) {
        // Retry on conflict
        await this.grantAchievement(playerId, achievement);
      }
    }
  }
}

// Usage
const kv = await Deno.openKv();
const leaderboard = new GameLeaderboard(kv);

// Update player score
await leaderboard.updateScore("player1", "Alice", 100n);
await leaderboard.updateScore("player2", "Bob", 150n);
await leaderboard.updateScore("player1", "Alice", 50n); // Add to existing

// Grant achievement
await leaderboard.grantAchievement("player1", "first-win");

// Get leaderboard
const top10 = await leaderboard.getTopPlayers(10);
for (const player of top10) {
  console.log(`#${player.rank}: ${player.username} - ${player.score} points`);
}
