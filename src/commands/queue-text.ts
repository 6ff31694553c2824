import type { Delivery, Message } from '../queue/store.ts';

type Listed = Delivery & { readonly message: Message };

/** What is on hold, since when and why, and what waits behind it; `!` stands at what is held for longer than the limit, and `late` counts it. */
export function heldTable(
  rows: readonly Listed[],
  limitMs: number,
  now: number,
): { readonly head: readonly string[]; readonly cells: readonly (readonly string[])[]; readonly late?: string } {
  const heldFor = (row: Delivery): number => now - (row.heldAt ?? now);
  const isLate = (row: Delivery): boolean => heldFor(row) > limitMs;
  const late = rows.filter(isLate).length;
  return {
    head: ['ID', 'KIND', 'RECIPIENT', 'FROM', 'METHOD', 'HELD SINCE', 'FOR', 'REASON'],
    cells: rows.map((row) => [
      row.queueId,
      row.kind,
      row.recipient,
      senderOf(row),
      row.message.method ?? '-',
      row.heldAt === undefined ? '-' : time(row.heldAt),
      row.heldAt === undefined ? '-' : `${span(heldFor(row))}${isLate(row) ? ' !' : ''}`,
      row.state === 'held' ? reasonOf(row) : 'behind an earlier post',
    ]),
    ...(late === 0 ? {} : { late: `! ${late} held for longer than queue.hold-limit, ${span(limitMs)}` }),
  };
}

export function senderOf({ message }: Listed): string {
  return message.envelope.reversePath === '' ? '<>' : message.envelope.reversePath;
}

/** Why a delivery is where it is: what its last attempt gave, else what was decided. */
export function reasonOf(row: Delivery): string {
  const post = row.decisions.at(-1)?.post;
  const decided = post !== undefined && 'reason' in post ? post.reason : undefined;
  if (row.state === 'held') return decided ?? row.outcome?.reason ?? '';
  return row.outcome?.reason ?? decided ?? '';
}

export function time(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A span as a person says it: its two largest units. */
function span(ms: number): string {
  if (ms > 0 && ms < 60_000) return ms < 1000 ? '0m' : `${Math.floor(ms / 1000)}s`;
  const minutes = Math.floor(ms / 60_000);
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(minutes / 1440), 'd'],
    [Math.floor(minutes / 60) % 24, 'h'],
    [minutes % 60, 'm'],
  ];
  const said = units.filter(([count]) => count > 0).slice(0, 2);
  return said.length === 0 ? '0m' : said.map(([count, unit]) => `${count}${unit}`).join(' ');
}
