/** What one asker may learn of busy times, as configured. */
export type BusyAccess = {
  /** Of whom: domains (`example.com`, `*.example.com`, `*`) and addresses. */
  readonly about: readonly string[];
  /** Of whom not, whatever `about` says; the same patterns. */
  readonly notAbout: readonly string[];
  /** How far back and ahead of now, ms: what a question asks beyond is cut off. */
  readonly pastMs: number;
  readonly aheadMs: number;
  /** The longest window, ms: a longer one is refused. */
  readonly longestMs: number;
  /** `hidden`: nobody can tell an address that does not exist from one he may not ask about. */
  readonly unknown: 'told' | 'hidden';
};
