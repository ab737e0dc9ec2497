// Fails with its first message.
self.addEventListener("message", (event) => {
  throw new Error(`cannot handle ${(event as MessageEvent).data}`);
});
