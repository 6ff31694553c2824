/** Writes to standard output: what a person or a script asked for. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Writes to standard error: what they should know besides. */
export function warn(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, (_, held: unknown) => (held instanceof Map ? Object.fromEntries(held) : held), 2));
}

/** A table for a terminal: columns padded to their widest cell. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of head.every((title) => title === '') ? rows : [head, ...rows])
    print(row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  '));
}
