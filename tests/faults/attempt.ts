/** Calls a function, and prints its outcome. */
export async function attempt(name: string, body: () => unknown): Promise<void> {
  try {
    const result = await body();
    console.log(`${name}: ok${result === undefined ? "" : ` ${result}`}`);
  } catch (error) {
    console.log(`${name}: ${(error as Error).constructor.name}: ${(error as Error).message}`);
  }
}
