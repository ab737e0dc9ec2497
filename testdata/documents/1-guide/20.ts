interface Session {
  userId: string;
  token: string;
  createdAt: Date;
  lastActivity: Date;
  data: Record<string, any>;
}

class SessionManager {
  constructor(private kv: Deno.Kv) {}
  
  async createSession(userId: string, data: Record<string, any> = {}): Promise<string> {
    const token = crypto.randomUUID();
    const session: Session = {
      userId,
      token,
      createdAt: new Date(),
      lastActivity: new Date(),
      data
    };
    
    // Store session with 24-hour expiration
    await this.kv.set(
      ["sessions", token],
      session,
      { expireIn: 24 * 60 * 60 * 1000 }
    );
    
    // Store user's active sessions
    await this.kv.set(["users", userId, "sessions", token], true);
    
    return token;
  }
  
  async getSession(token: string): Promise<Session | null> {
    const result = await this.kv.get<Session>(["sessions", token]);
    
    if (result.value) {
      // Update last activity
      const updated = { ...result.value, lastActivity: new Date() };
      await this.kv.set(["sessions", token], updated, {
        expireIn: 24 * 60 * 60 * 1000
      });
      return updated;
    }
    
    return null;
  }
  
  async deleteSession(token: string): Promise<void> {
    const session = await this.getSession(token);
    if (session) {
      await this.kv.atomic()
        .delete(["sessions", token])
        .delete(["users", session.userId, "sessions", token])
        .commit();
    }
  }
  
  async getUserSessions(userId: string): Promise<Session[]> {
    const sessions: Session[] = [];
    const sessionKeys = this.kv.list({
      prefix: ["users", userId, "sessions"]
    });
    
    for await (const entry of sessionKeys) {
      const token = entry.key[entry.key.length - 1] as string;
      const session = await this.getSession(token);
      if (session) {
        sessions.push(session);
      } else {
        // Clean up orphaned session reference
        await this.kv.delete(entry.key);
      }
    }
    
    return sessions;
  }
}

// Usage
const kv = await Deno.openKv();
const sessionManager = new SessionManager(kv);

const token = await sessionManager.createSession("user123", {
  ipAddress: "192.168.1.1",
  userAgent: "Mozilla/5.0..."
});

const session = await sessionManager.getSession(token);
console.log("Active session:", session);
