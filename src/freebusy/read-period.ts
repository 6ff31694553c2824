import { buildTree, type Component } from '../itip/components.ts';
import { type ContentLine, parameter, parametersOf, textValue, writtenLine } from '../itip/content-lines.ts';
import { parseDateTime, parseDuration } from '../itip/date-time.ts';
import { zoneLines } from '../itip/timezones.ts';
import { zoneOffsetAt } from '../itip/zone.ts';
import { BUSY_TYPES, type BusyType, type Period } from './busy.ts';

/** Each takes milliseconds to make. */
const MAX_MADE_ZONES = 5;

/** Collects the periods of FREEBUSY lines (RFC 5545 §3.8.2.6) that share a calendar's time zones. */
export class PeriodReader {
  readonly periods: Period[] = [];
  readonly #zones: ReadonlyMap<string, Component>;
  readonly #maxPeriods: number;
  readonly #made = new Map<string, Component | undefined>();

  /** @param zones VTIMEZONEs by TZID; one that is not among them is taken for an IANA or Windows name */
  constructor(zones: ReadonlyMap<string, Component>, maxPeriods: number) {
    this.#zones = zones;
    this.#maxPeriods = maxPeriods;
  }

  /** @returns why not, where a period cannot be placed */
  add(line: ContentLine): string | undefined {
    const parameters = parametersOf(line);
    const named = (wanted: string) => parameters.find(({ name }) => name === wanted)?.values?.[0];
    const type = typeOf(named('FBTYPE'));
    const tzid = named('TZID')?.trim();
    const fault = (text: string) => `line ${line.line}: found ${text}`;
    for (const value of textValue(line).toUpperCase().split(',')) {
      const text = value.trim();
      if (text === '') continue;
      const [start = '', end = '', ...more] = text.split('/');
      const startMs = this.#at(start.trim(), tzid);
      if (startMs === undefined || more.length > 0) return fault(whyNot(text, tzid));
      const durationMs = parseDuration(end.trim());
      const endMs = durationMs === undefined ? this.#at(end.trim(), tzid) : startMs + durationMs;
      if (endMs === undefined) return fault(whyNot(text, tzid));
      if (endMs <= startMs) continue;
      if (this.periods.length >= this.#maxPeriods) return fault('more periods than are read of one answer');
      this.periods.push({ type, startMs, endMs });
    }
    return undefined;
  }

  /** Of a DATE-TIME line; undefined for a date, for local time of no zone, and what is none of them. */
  instant(line: ContentLine): number | undefined {
    return this.#at(textValue(line).trim().toUpperCase(), parameter(line, 'TZID')?.trim());
  }

  #at(text: string, tzid: string | undefined): number | undefined {
    const time = parseDateTime(text);
    if (time === undefined || time.kind === 'date') return undefined;
    if (time.kind === 'utc') return time.localMs;
    if (tzid === undefined) return undefined;
    const zone = this.#zones.get(tzid);
    const offset = zone === undefined ? undefined : zoneOffsetAt(zone, time.localMs);
    if (offset !== undefined) return time.localMs - offset;
    const made = this.#make(tzid, time.localMs);
    const known = made === undefined ? undefined : zoneOffsetAt(made, time.localMs);
    return known === undefined ? undefined : time.localMs - known;
  }

  #make(tzid: string, localMs: number): Component | undefined {
    if (this.#made.has(tzid)) return this.#made.get(tzid);
    if (this.#made.size >= MAX_MADE_ZONES) return undefined;
    // From the beginning: the next period may lie years before the first.
    const to = new Date(localMs).getUTCFullYear();
    const lines = zoneLines(tzid, { from: 1970, to });
    const tree =
      lines === undefined
        ? undefined
        : buildTree(
            lines.map((text) => writtenLine(text, 0)),
            2,
          );
    const zone = tree?.kind === 'tree' ? tree.calendar : undefined;
    this.#made.set(tzid, zone);
    return zone;
  }
}

/** RFC 5545 §3.2.9: BUSY where it is missing, and where it is none that we know. */
function typeOf(value: string | undefined): BusyType {
  const name = value?.trim().toUpperCase();
  return BUSY_TYPES.find((type) => type === name) ?? 'BUSY';
}

function whyNot(text: string, tzid: string | undefined): string {
  const shown = text.slice(0, 40);
  const isLocal = /^\d{8}T\d{6}(?:\/|$)/.test(text) || /\/\d{8}T\d{6}$/.test(text);
  if (!isLocal) return `the period ${shown}, wanted start/end or start/duration in UTC`;
  return tzid === undefined
    ? `the period ${shown} in local time of no zone, wanted UTC`
    : `the period ${shown} in the time zone ${tzid.slice(0, 40)}, which is not known`;
}
