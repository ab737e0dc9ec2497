// What the scripts here tell: a figure, as people read it, and whether it is what OpenKV promises.
export function figure(what: string, shown: string | number, kept = true) {
  console.log(JSON.stringify({ what, shown: String(shown), kept }));
}

export const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
