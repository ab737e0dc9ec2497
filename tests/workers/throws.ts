// Fails as soon as it runs.
throw new TypeError("thrown by a worker");
