import type { Window } from './busy.ts';

/** Some write the last second of a day where its end belongs. */
const GAP_MS = 1000;

/** Windows that touch or overlap as one; ascending. What lies between two of them nothing was said about. */
export function joinWindows(windows: readonly Window[]): readonly Window[] {
  const joined: Window[] = [];
  for (const window of windows.toSorted((a, b) => a.startMs - b.startMs)) {
    const last = joined.at(-1);
    if (last === undefined || window.startMs > last.endMs + GAP_MS) joined.push(window);
    else joined[joined.length - 1] = { startMs: last.startMs, endMs: Math.max(last.endMs, window.endMs) };
  }
  return joined;
}
