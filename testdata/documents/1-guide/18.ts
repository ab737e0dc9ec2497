interface Migration {
  version: number;
  up: (kv: Deno.Kv) => Promise<void>;
}

const migrations: Migration[] = [
  {
    version: 1,
    up: async (kv) => {
      // Add default settings for all users
      const users = kv.list({ prefix: ["users"] });
      for await (const entry of users) {
        await kv.set(
          [...entry.key, "settings"],
          { theme: "light", notifications: true }
        );
      }
    }
  }
];

async function runMigrations(kv: Deno.Kv) {
  const currentVersion = await kv.get<number>(["meta", "version"]);
  const version = currentVersion.value || 0;
  
  for (const migration of migrations) {
    if (migration.version > version) {
      await migration.up(kv);
      await kv.set(["meta", "version"], migration.version);
      console.log(`Migration ${migration.version} completed`);
    }
  }
}
