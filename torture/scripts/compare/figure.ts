/** Prints a row of the results, and whether OpenKV's guarantee holds. */
export function figure(what: string, shown: string | number, holds = true) {
  console.log(JSON.stringify({ what, shown: String(shown), holds }));
}

export const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
