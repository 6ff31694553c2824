import type { Instance, SchedulingObject } from '../itip/message.ts';
import { oneLine, textField } from './encoded-word.ts';
import { embedUnicode } from './xtext.ts';

export const ANNOTATION_FIELDS = ['status', 'uid', 'method', 'recurrenceId', 'sequence', 'dtstamp'] as const;
export type AnnotationField = (typeof ANNOTATION_FIELDS)[number];

/** Header field name of each annotation; one that has no name is not written. */
export type AnnotationNames = Readonly<Partial<Record<AnnotationField, string>>>;

/** The `X-MEETING-` names are those that webmails of the Sun and Oracle family read. */
export const DEFAULT_ANNOTATION_NAMES: AnnotationNames = {
  status: 'iMIP-Gateway-Status',
  uid: 'X-MEETING-UID',
  method: 'X-MEETING-METHOD',
  recurrenceId: 'X-MEETING-RECURRENCE-ID',
  sequence: 'X-MEETING-SEQUENCE',
  dtstamp: 'X-MEETING-DTSTAMP',
};

export type Annotation = {
  readonly queueId: string;
  readonly recipient: string;
  readonly action: 'posted' | 'pending' | 'skipped' | 'refused';
  /** REQUEST-STATUS code of the calendar server. */
  readonly code?: string;
  readonly reason: string;
  /** URL or host of the calendar server; only the host is written. */
  readonly server?: string;
  readonly object?: SchedulingObject;
};

const MAX_LINE = 78; // RFC 5322 §2.1.1
const MAX_PARAMETER = 400; // each stands on one line, which RFC 5322 §2.1.1 ends at 998 octets
const MAX_VALUE = 2000; // a UID or RECURRENCE-ID beyond this is left out rather than cut

/**
 * Status header lines for one mailbox's copy, each ending in CRLF; ASCII, whatever stands in the message.
 * Values of the status field are quoted where they hold more than the characters of an address or a date.
 */
export function annotation(facts: Annotation, names: AnnotationNames): string {
  const { object } = facts;
  let lines = '';
  if (names.status !== undefined) lines += statusField(names.status, facts);
  if (object === undefined) return lines;
  const instance = shownInstance(object.instances);
  lines += optionalField(names.uid, object.uid);
  lines += optionalField(names.method, object.method);
  lines += optionalField(names.recurrenceId, instance?.recurrenceId ?? '');
  lines += optionalField(names.sequence, instance === undefined ? '' : String(instance.sequence));
  lines += optionalField(names.dtstamp, instance?.dtstamp ?? '');
  return lines;
}

/** Field names in lower case, to be taken out of what arrives: only we may say what we did. */
export function annotationFields(names: AnnotationNames): Set<string> {
  return new Set(Object.values(names).map((name) => name.toLowerCase()));
}

/** The master where there is one: its SEQUENCE and DTSTAMP speak for the object. */
function shownInstance(instances: readonly Instance[]): Instance | undefined {
  return instances.find((instance) => instance.recurrenceId === '') ?? instances[0];
}

function statusField(name: string, facts: Annotation): string {
  const host = facts.server === undefined ? undefined : hostOf(facts.server);
  const parameters = [
    `recipient=${quoted(facts.recipient)}`,
    `action=${facts.action}`,
    ...(facts.code === undefined ? [] : [`code=${quoted(facts.code)}`]),
    `reason=${quoted(facts.reason)}`,
    ...(host === undefined ? [] : [`server=${quoted(host)}`]),
  ];
  let field = `${name}: ${quoted(facts.queueId)}`;
  let lineLength = field.length;
  for (const parameter of parameters) {
    const fits = lineLength + 2 + parameter.length < MAX_LINE;
    field += fits ? `; ${parameter}` : `;\r\n ${parameter}`;
    lineLength = fits ? lineLength + 2 + parameter.length : 1 + parameter.length;
  }
  return `${field}\r\n`;
}

/** One unstructured field; '' when it has no name or no value. */
function optionalField(name: string | undefined, value: string): string {
  return name === undefined || value === '' || value.length > MAX_VALUE ? '' : textField(name, value);
}

function quoted(value: string): string {
  const text = embedUnicode(oneLine(value)).slice(0, MAX_PARAMETER);
  if (/^[\w.@+!#$&'*/:?^`{|}~%-]+$/.test(text)) return text;
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function hostOf(server: string): string {
  if (URL.canParse(server)) {
    const { hostname } = new URL(server);
    if (hostname !== '') return hostname;
  }
  const authority = server.replace(/[/?#].*$/s, '').replace(/^.*@/s, '');
  return authority.replace(/:\d+$/, '');
}
