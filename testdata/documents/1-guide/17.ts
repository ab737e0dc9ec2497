class TypedKV {
  constructor(private kv: Deno.Kv) {}
  
  async getUser(id: string): Promise<User | null> {
    const result = await this.kv.get<User>(["users", id]);
    return result.value;
  }
  
  async setUser(user: User): Promise<void> {
    await this.kv.set(["users", user.id], user);
  }
  
  async deleteUser(id: string): Promise<void> {
    await this.kv.delete(["users", id]);
  }
  
  async *listUsers(): AsyncGenerator<User> {
    const iter = this.kv.list<User>({ prefix: ["users"] });
    for await (const entry of iter) {
      if (entry.value) yield entry.value;
    }
  }
}
