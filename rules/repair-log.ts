import type { Repair } from '../src/itip/message.ts';
import type { RepairName } from './data/repairs.ts';

/** Repairs made so far, by name. */
export type RepairLog = Map<RepairName, Repair[]>;

/** Repairs of one name that are listed one by one. */
const LISTED = 10;

export function note(log: RepairLog, name: RepairName, line: number, detail: string): void {
  const entries = log.get(name);
  if (entries === undefined) log.set(name, [{ name, line, detail }]);
  else entries.push({ name, line, detail });
}

/** In order of lines; of one name at most `LISTED`, so that a hostile object makes no endless record. */
export function listed(log: ReadonlyMap<RepairName, readonly Repair[]>): readonly Repair[] {
  const repairs: Repair[] = [];
  for (const [name, entries] of log) {
    repairs.push(...entries.slice(0, LISTED));
    const rest = entries[LISTED];
    if (rest !== undefined) repairs.push({ name, line: rest.line, detail: `and ${entries.length - LISTED} more` });
  }
  return repairs.sort((a, b) => a.line - b.line);
}
