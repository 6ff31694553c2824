import { BUSY_TYPES, type BusyType, type Period, type Window } from './busy.ts';

/** Where a period begins or ends. */
type Edge = { readonly atMs: number; readonly rank: number; readonly step: 1 | -1 };

/** Of those that outweigh free time; FREE is what is left between them. */
const RANKED: readonly BusyType[] = BUSY_TYPES.filter((type) => type !== 'FREE');

/**
 * Cuts periods to the window and lays them over each other: where several overlap the heaviest type counts
 * (`BUSY_TYPES`). Empty and backward periods are left out.
 * @returns ascending, not overlapping, equal neighbours joined, without FREE
 */
export function mergePeriods(periods: readonly Period[], window: Window): readonly Period[] {
  const edges = edgesOf(periods, window);
  const covering = RANKED.map(() => 0);
  const merged: Period[] = [];
  let heaviest: BusyType | undefined;
  let startMs = 0;
  let at = 0;
  while (at < edges.length) {
    const now = edges[at]?.atMs ?? 0;
    // All edges of one instant count before anything is concluded: a period that ends as its like begins goes on.
    for (let edge = edges[at]; edge?.atMs === now; edge = edges[++at])
      covering[edge.rank] = (covering[edge.rank] ?? 0) + edge.step;
    const next = RANKED[covering.findIndex((count) => count > 0)];
    if (next === heaviest) continue;
    if (heaviest !== undefined) merged.push({ type: heaviest, startMs, endMs: now });
    heaviest = next;
    startMs = now;
  }
  return merged;
}

/** What is left of the window, as FREE; ascending. @param busy as `mergePeriods` returns it */
export function freeBetween(busy: readonly Period[], window: Window): readonly Period[] {
  const free: Period[] = [];
  let startMs = window.startMs;
  for (const period of busy) {
    if (period.startMs > startMs) free.push({ type: 'FREE', startMs, endMs: period.startMs });
    startMs = period.endMs;
  }
  if (window.endMs > startMs) free.push({ type: 'FREE', startMs, endMs: window.endMs });
  return free;
}

function edgesOf(periods: readonly Period[], window: Window): readonly Edge[] {
  const edges: Edge[] = [];
  for (const period of periods) {
    const rank = RANKED.indexOf(period.type);
    const startMs = Math.max(period.startMs, window.startMs);
    const endMs = Math.min(period.endMs, window.endMs);
    if (rank >= 0 && startMs < endMs) edges.push({ atMs: startMs, rank, step: 1 }, { atMs: endMs, rank, step: -1 });
  }
  return edges.sort((a, b) => a.atMs - b.atMs);
}
