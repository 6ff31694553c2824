import type { BusyAccess } from '../../../rules/busy-access.ts';

const DAY = 86_400_000;

/** About everybody, and told plainly who exists; the limits are the defaults of the configuration. */
export const OPEN: BusyAccess = {
  about: ['*'],
  notAbout: [],
  pastMs: 62 * DAY,
  aheadMs: 366 * DAY,
  longestMs: 430 * DAY,
  unknown: 'told',
};
