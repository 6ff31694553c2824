import { hash } from 'node:crypto';
import { ACCEPTED_MESSAGES } from '../../rules/data/methods.ts';
import type { AcceptLimits } from '../../rules/schedule-request.ts';
import { formatUtc } from '../../src/itip/date-time.ts';
import { escapeXml, NAMESPACE } from './wire.ts';

/** What we announce: the limits that are enforced, and who answers for them. */
export type Announcement = AcceptLimits & {
  /** URI, `mailto:calmaster@example.com`. */
  readonly administrator?: string;
};

export type CapabilitiesDocument = {
  /** The whole body. */
  readonly body: string;
  readonly etag: string;
};

export type ComposedCapabilities = {
  /** Digits. The same for the same announcement, after a restart as well; another when anything in it changes. */
  readonly serial: string;
  /** For `?action=capabilities`, as draft-desruisseaux-ischedule-05 §8 lays it out. */
  readonly action: CapabilitiesDocument;
  /** For the `?query=capabilities` of -00 and -01, which DAViCal asks for. */
  readonly query: CapabilitiesDocument;
};

export function composeCapabilities(announcement: Announcement): ComposedCapabilities {
  // Of 31 bits: it has to fit what peers keep an integer in.
  const serial = `${Number.parseInt(hash('sha256', actionBody(announcement, ''), 'hex').slice(0, 8), 16) >>> 1}`;
  return {
    serial,
    action: { body: actionBody(announcement, serial), etag: `"${serial}"` },
    query: { body: queryBody(announcement), etag: `"${serial}-query"` },
  };
}

function actionBody(announcement: Announcement, serial: string): string {
  const attachments = announcement.attachments.map((kind) => `<${kind}/>`).join('');
  return queryResult('capabilities', [
    `<serial-number>${serial}</serial-number>`,
    '<versions><version>1.0</version></versions>',
    `<scheduling-messages>${messages(announcement, 'component')}</scheduling-messages>`,
    '<calendar-data-types><calendar-data-type content-type="text/calendar" version="2.0"/></calendar-data-types>',
    ...(attachments === '' ? [] : [`<attachments>${attachments}</attachments>`]),
    ...limits(announcement),
  ]);
}

function queryBody(announcement: Announcement): string {
  const attachments = announcement.attachments.map((kind) => `<${kind}-attachment/>`).join('');
  return queryResult('capability-set', [
    '<supported-version-set><version>1.0</version></supported-version-set>',
    `<supported-scheduling-message-set>${messages(announcement, 'comp')}</supported-scheduling-message-set>`,
    '<supported-calendar-data-type><calendar-data-type content-type="text/calendar" version="2.0"/></supported-calendar-data-type>',
    ...(attachments === '' ? [] : [`<supported-attachment-values>${attachments}</supported-attachment-values>`]),
    '<supported-recipient-uri-scheme-set><scheme>mailto</scheme></supported-recipient-uri-scheme-set>',
    ...limits(announcement),
  ]);
}

function queryResult(name: string, lines: readonly string[]): string {
  const body = lines.map((line) => `    ${line}\n`).join('');
  return (
    `<?xml version="1.0" encoding="utf-8"?>\n<query-result xmlns="${NAMESPACE}">\n  <${name}>\n` +
    `${body}  </${name}>\n</query-result>\n`
  );
}

function messages(announcement: Announcement, name: string): string {
  return (announcement.messages ?? ACCEPTED_MESSAGES)
    .map(({ component, methods }) => {
      const children = methods.map((method) => `<method name="${escapeXml(method)}"/>`).join('');
      return `<${name} name="${escapeXml(component)}">${children}</${name}>`;
    })
    .join('');
}

/** In the order of the DTD; one that is not set is left out. */
function limits(announcement: Announcement): readonly string[] {
  const { minDateMs, maxDateMs } = announcement;
  const values = {
    'max-content-length': `${announcement.maxContentLength}`,
    'min-date-time': minDateMs === undefined ? undefined : formatUtc(minDateMs),
    'max-date-time': maxDateMs === undefined ? undefined : formatUtc(maxDateMs),
    'max-instances': announcement.maxInstances?.toString(),
    'max-recipients': `${announcement.maxRecipients}`,
    administrator: announcement.administrator,
  };
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`<${name}>${escapeXml(value)}</${name}>`],
  );
}
