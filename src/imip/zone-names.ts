import { type Component, property } from '../itip/components.ts';
import { textValue } from '../itip/content-lines.ts';
import { ianaZone } from '../itip/timezones.ts';

/** Bounded, since the names come from strangers; a formatter costs some 20 kB. */
const MAX_FORMATTERS = 500;

/**
 * The IANA zone behind a TZID, or the one that X-LIC-LOCATION of its VTIMEZONE names; undefined when none is known.
 * Names without a slash, such as EST, mean one thing to IANA and another to whoever wrote the object.
 */
export function zoneNamed(tzid: string, definition: Component | undefined): string | undefined {
  const plain = tzid.replace(/^"|"$/g, '');
  if (/^(?:UTC|Etc\/UTC|GMT|Z)$/i.test(plain)) return 'UTC';
  const location = definition === undefined ? undefined : property(definition, 'X-LIC-LOCATION');
  const candidates = [ianaZone(plain), location === undefined ? undefined : textValue(location).trim()];
  return candidates.find((candidate) => candidate !== undefined && isZone(candidate));
}

/** Offset from UTC in ms at an instant; undefined when the zone is not known. */
export function offsetAt(zone: string, atMs: number): number | undefined {
  if (zone === 'UTC') return 0;
  const formatter = formatterOf(zone);
  if (formatter === undefined || !Number.isFinite(new Date(atMs).getTime())) return undefined;
  const parts = new Map(formatter.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
  return local - Math.floor(atMs / 1000) * 1000;
}

/** Whether `Intl` has a name for it. */
export function isZone(name: string): boolean {
  return name === 'UTC' || (name.includes('/') && formatterOf(name) !== undefined);
}

const formatters = new Map<string, Intl.DateTimeFormat | undefined>();

function formatterOf(zone: string): Intl.DateTimeFormat | undefined {
  if (formatters.has(zone)) return formatters.get(zone);
  if (formatters.size >= MAX_FORMATTERS) formatters.clear();
  const formatter = newFormatter(zone);
  formatters.set(zone, formatter);
  return formatter;
}

function newFormatter(timeZone: string): Intl.DateTimeFormat | undefined {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,60}$/.test(timeZone)) return undefined;
  try {
    return new Intl.DateTimeFormat('en-u-hc-h23', {
      timeZone,
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
