class Queue<T> {
  constructor(
    private kv: Deno.Kv,
    private queueName: string
  ) {}
  
  async enqueue(item: T): Promise<void> {
    const id = crypto.randomUUID();
    const timestamp = Date.now();
    await this.kv.set(
      ["queues", this.queueName, timestamp, id],
      item
    );
  }
  
  async dequeue(): Promise<T | null> {
    const iter = this.kv.list<T>({
      prefix: ["queues", this.queueName],
      limit: 1
    });
    
    for await (const entry of iter) {
      const deleted = await this.kv.atomic()
        .check(entry)
        .delete(entry.key)
        .commit();
      
      if (deleted.ok && entry.value) {
        return entry.value;
      }
    }
    
    return null;
  }
  
  async size(): Promise<number> {
    let count = 0;
    const iter = this.kv.list({
      prefix: ["queues", this.queueName]
    });
    for await (const _ of iter) count++;
    return count;
  }
}
