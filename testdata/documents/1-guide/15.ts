async function getCachedData(key: string): Promise<any> {
  const cacheKey = ["cache", key];
  const cached = await kv.get(cacheKey);
  
  if (cached.value !== null) {
    return cached.value;
  }
  
  const data = await fetchExpensiveData(key);
  await kv.set(cacheKey, data, { expireIn: 300000 }); // 5 minutes
  return data;
}
