class RateLimiter {
  constructor(
    private kv: Deno.Kv,
    private maxRequests: number,
    private windowMs: number
  ) {}
  
  async checkLimit(identifier: string): Promise<{
    allowed: boolean;
    remaining: number;
    resetAt: Date;
  }> {
    const now = Date.now();
    const windowStart = now - this.windowMs;
    const resetAt = new Date(now + this.windowMs);
    
    // Clean old entries and count current window requests
    const requests = this.kv.list({
      prefix: ["ratelimit", identifier],
      start: ["ratelimit", identifier, windowStart],
      end: ["ratelimit", identifier, now]
    });
    
    let count = 0;
    const toDelete: Deno.KvKey[] = [];
    
    for await (const entry of requests) {
      const timestamp = entry.key[2] as number;
      if (timestamp < windowStart) {
        toDelete.push(entry.key);
      } else {
        count++;
      }
    }
    
    // Clean up old entries
    if (toDelete.length > 0) {
      const atomic = this.kv.atomic();
      for (const key of toDelete) {
        atomic.delete(key);
      }
      await atomic.commit();
    }
    
    const allowed = count < this.maxRequests;
    const remaining = Math.max(0, this.maxRequests - count - 1);
    
    if (allowed) {
      // Record this request
      await this.kv.set(
        ["ratelimit", identifier, now, crypto.randomUUID()],
        true,
        { expireIn: this.windowMs }
      );
    }
    
    return { allowed, remaining, resetAt };
  }
  
  async reset(identifier: string): Promise<void> {
    const requests = this.kv.list({
      prefix: ["ratelimit", identifier]
    });
    
    const atomic = this.kv.atomic();
    for await (const entry of requests) {
      atomic.delete(entry.key);
    }
    await atomic.commit();
  }
}

// Usage
const kv = await Deno.openKv();
const limiter = new RateLimiter(kv, 100, 60000); // 100 requests per minute

// In your API handler
async function handleRequest(userId: string) {
  const { allowed, remaining, resetAt } = await limiter.checkLimit(userId);
  
  if (!allowed) {
    return new Response("Rate limit exceeded", {
      status: 429,
      headers: {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": resetAt.toISOString()
      }
    });
  }
  
  // Process request
  return new Response("OK", {
    headers: {
      "X-RateLimit-Remaining": remaining.toString(),
      "X-RateLimit-Reset": resetAt.toISOString()
    }
  });
}
