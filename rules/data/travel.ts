/**
 * What of a calendar object stays at home when the object leaves by mail (RFC 6638 §7.1 to §7.3, RFC 5546 §3.2). X-
 * properties and parameters are private by default: the server that wrote them knows whom they concern, the rest of the
 * world does not.
 */

/** Parameters that no scheduling message may carry. */
export const NEVER_TRAVEL: ReadonlySet<string> = new Set(['SCHEDULE-AGENT', 'SCHEDULE-FORCE-SEND', 'SCHEDULE-STATUS']);

/** X- properties that outside people's programs use, and why. */
const TRAVELS = {
  'X-ALT-DESC': 'the description as HTML, which Outlook shows in place of DESCRIPTION',
  'X-APPLE-STRUCTURED-LOCATION': 'the place on a map; X-APPLE-TRAVEL-* tells where somebody lives and stays',
  'X-GOOGLE-CONFERENCE': 'the address of the video conference',
  'X-WR-TIMEZONE': 'the zone of floating times; X-WR-CALNAME and its like name a private calendar',
} as const;

/** Beginnings of names of X- properties that travel: Exchange and Outlook keep free/busy state and meeting options there. */
const TRAVELLING_PREFIXES = ['X-MICROSOFT-'] as const;

/** X- parameters that travel on properties of the standard. On an X- property that travels all of them do. */
const TRAVELLING_PARAMETERS: ReadonlySet<string> = new Set([
  'X-FILENAME', // of ATTACH, beside RFC 8607's FILENAME
  'X-NUM-GUESTS', // Google: whom an attendee brings along
  'X-RESPONSE-COMMENT', // Google: what an attendee says to his answer
]);

/** @param name of a property, in upper case */
export function travels(name: string): boolean {
  if (!name.startsWith('X-')) return true;
  return Object.hasOwn(TRAVELS, name) || TRAVELLING_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/**
 * @param property that it stands on, in upper case
 * @param name in upper case
 */
export function parameterTravels(property: string, name: string): boolean {
  if (NEVER_TRAVEL.has(name)) return false;
  return !name.startsWith('X-') || property.startsWith('X-') || TRAVELLING_PARAMETERS.has(name);
}

/** Alarms wake the person who set them; X- components are a server's own state. */
export function componentTravels(name: string): boolean {
  return name !== 'VALARM' && !name.startsWith('X-');
}
