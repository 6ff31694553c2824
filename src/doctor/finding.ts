export const AREAS = ['dns', 'address', 'tls', 'well-known', 'capabilities', 'keys', 'clock'] as const;
export type Area = (typeof AREAS)[number];

/** One thing that was looked at: what was found, what would be wanted, what to do about it. */
export type Finding = {
  readonly area: Area;
  /** What it is about: a name in the DNS, a URL, host and port. */
  readonly what: string;
  /** `refused`: an exchange of invitations would fail on it. `note`: neither good nor bad. */
  readonly verdict: 'ok' | 'note' | 'warning' | 'refused';
  readonly found: string;
  /** Absent where what was found is as wanted. */
  readonly wanted?: string;
  readonly advice?: string;
};

/** A finding that is as it should be. */
export function ok(area: Area, what: string, found: string): Finding {
  return { area, what, verdict: 'ok', found };
}

export function note(area: Area, what: string, found: string): Finding {
  return { area, what, verdict: 'note', found };
}

/** @param rest found, wanted, what to do */
export function wrong(
  verdict: 'warning' | 'refused',
  area: Area,
  what: string,
  ...[found, wanted, advice]: readonly [found: string, wanted: string, advice: string]
): Finding {
  return { area, what, verdict, found, wanted, advice };
}
