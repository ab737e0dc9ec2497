const userId = crypto.randomUUID();
