// Simple value storage
await kv.set(["config", "apiUrl"], "https://api.example.com");

// Store an object
interface User {
  id: string;
  name: string;
  email: string;
  createdAt: Date;
}

const user: User = {
  id: "user123",
  name: "John Doe",
  email: "john@example.com",
  createdAt: new Date()
};

await kv.set(["users", user.id], user);

// Store with expiration (TTL in milliseconds)
await kv.set(
  ["cache", "apiResponse"], 
  responseData, 
  { expireIn: 60000 } // Expires in 60 seconds
);
