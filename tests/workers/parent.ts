// Starts the module of the first argument as a worker, and prints what it hears. The second argument says who handles errors:
// "worker", "global" or "nobody".
const [file, handler] = Deno.args;
const worker = new Worker(import.meta.resolve(file), { type: "module", name: "child" });
worker.onmessage = ({ data }) => console.log("message", data);
worker.onerror = (event) => {
  const file = event.filename?.slice(event.filename.lastIndexOf("/") + 1);
  console.log("worker", JSON.stringify([event.message.split('"')[0], file ?? "", event.lineno, event.colno, event.error]));
  if (handler === "worker") event.preventDefault();
};
addEventListener("error", (event) => {
  console.log("global", event.message);
  if (handler === "global") event.preventDefault();
});
worker.postMessage("a message");
