import type { SrvRecord } from '../../src/net/resolver.ts';

/**
 * The order in which targets are tried: by priority, and among equals drawn by weight (RFC 2782, Usage rules).
 * @param random from 0 up to, not including, 1
 */
export function orderTargets(records: readonly SrvRecord[], random: () => number): readonly SrvRecord[] {
  const byPriority = [...records].sort((a, b) => a.priority - b.priority);
  const ordered: SrvRecord[] = [];
  while (byPriority.length > 0) {
    const priority = byPriority[0]?.priority;
    const end = byPriority.findIndex((record) => record.priority !== priority);
    drawAll(byPriority.splice(0, end < 0 ? byPriority.length : end), random, ordered);
  }
  return ordered;
}

/** Those of weight 0 stand first, so that they keep a small chance beside the others. */
function drawAll(equals: readonly SrvRecord[], random: () => number, into: SrvRecord[]): void {
  const left = [...equals].sort((a, b) => Number(a.weight > 0) - Number(b.weight > 0));
  while (left.length > 0) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    const drawn = Math.floor(random() * (total + 1));
    let sum = 0;
    const index = left.findIndex((record) => {
      sum += record.weight;
      return sum >= drawn;
    });
    into.push(...left.splice(Math.max(index, 0), 1));
  }
}
