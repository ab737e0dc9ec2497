async function updateWithRetry<T>(
  key: Deno.KvKey,
  updateFn: (current: T | null) => T,
  maxRetries = 3
): Promise<boolean> {
  for (let i = 0; i < maxRetries; i++) {
    const result = await kv.get<T>(key);
    const newValue = updateFn(result.value);
    
    const atomic = result.value !== null
      ? kv.atomic().check(result).set(key, newValue)
      : kv.atomic().set(key, newValue);
    
    const committed = await atomic.commit();
    
    if (committed.ok) {
      return true;
    }
    
    // Exponential backoff
    await new Promise(resolve => setTimeout(resolve, Math.pow(2, i) * 100));
  }
  
  return false;
}

// Usage
const success = await updateWithRetry(
  ["counter", "visits"],
  (current) => (current || 0) + 1
);
