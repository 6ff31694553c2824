import { childrenNamed, type Element, readDocument, textOf } from '../../src/xml/document.ts';

/** What a calendar server says it takes. What it does not say is absent, and forbids nothing. */
export type Capabilities = {
  /** Changes with the document; '' when there is none. */
  readonly serial: string;
  readonly versions: readonly string[];
  /** Methods by component, upper case; an empty set stands for every method of that component. */
  readonly messages?: ReadonlyMap<string, ReadonlySet<string>>;
  /** Media types, lower case. */
  readonly dataTypes?: readonly string[];
  readonly attachments?: { readonly inline: boolean; readonly external: boolean };
  /** Octets of the calendar object. */
  readonly maxContentLength?: number;
  /** ms since the epoch. */
  readonly minDateTime?: number;
  readonly maxDateTime?: number;
  readonly maxInstances?: number;
  readonly maxRecipients?: number;
  /** URI of who runs the server. */
  readonly administrator?: string;
};

export type CapabilitiesReading =
  | { readonly kind: 'capabilities'; readonly capabilities: Capabilities }
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * Reads the answer to `action=capabilities` and to the `query=capabilities` of -00 and -01, with the liberties real
 * servers take: Apple's serial number inside `version`, Bedework's `calendar-data` for `calendar-data-type`, Cyrus' limits
 * without a value, DAViCal's `capability-set`.
 * @param contentType value of the Content-Type header, '' when absent
 */
export function parseCapabilities(body: Buffer, contentType: string): CapabilitiesReading {
  const document = readDocument(body, contentType, { attributes: true });
  if (document.kind === 'unreadable') return document;
  const set = findSet(document.root);
  if (set === undefined) return { kind: 'unreadable', reason: 'the answer is not a capabilities document' };
  return { kind: 'capabilities', capabilities: readSet(set) };
}

const SETS = ['capabilities', 'capability-set'];

function findSet(root: Element): Element | undefined {
  if (SETS.includes(root.name)) return root;
  return root.name === 'query-result' ? childrenNamed(root, ...SETS)[0] : undefined;
}

function readSet(set: Element): Capabilities {
  const list = (...names: readonly string[]): Element | undefined => childrenNamed(set, ...names)[0];
  const versions = readVersions(set);
  const messages = readMessages(list('scheduling-messages', 'supported-scheduling-message-set'));
  const dataTypes = readDataTypes(
    list(
      'calendar-data-types',
      'supported-calendar-data-type',
      'supported-calendar-data-types',
      'supported-calendar-data',
    ),
  );
  const attachments = readAttachments(list('attachments', 'supported-attachment-values'));
  const administrator = textOf(list('administrator')).trim();
  const maxContentLength = readCount(list('max-content-length'));
  const maxInstances = readCount(list('max-instances'));
  const maxRecipients = readCount(list('max-recipients'));
  const minDateTime = readDateTime(list('min-date-time'));
  const maxDateTime = readDateTime(list('max-date-time'));
  return {
    ...versions,
    ...(messages === undefined ? {} : { messages }),
    ...(dataTypes === undefined ? {} : { dataTypes }),
    ...(attachments === undefined ? {} : { attachments }),
    ...(maxContentLength === undefined ? {} : { maxContentLength }),
    ...(minDateTime === undefined ? {} : { minDateTime }),
    ...(maxDateTime === undefined ? {} : { maxDateTime }),
    ...(maxInstances === undefined ? {} : { maxInstances }),
    ...(maxRecipients === undefined ? {} : { maxRecipients }),
    ...(administrator === '' ? {} : { administrator }),
  };
}

/** A version right below the set is Apple's serial number; those in a list are versions. */
function readVersions(set: Element): { serial: string; versions: readonly string[] } {
  const named = textOf(childrenNamed(set, 'serial-number')[0]).trim();
  const lists = childrenNamed(set, 'versions', 'supported-version-set');
  const listed = lists.flatMap((list) => childrenNamed(list, 'version').map((version) => textOf(version).trim()));
  const bare = childrenNamed(set, 'version').map((version) => textOf(version).trim());
  const serial = named !== '' ? named : lists.length > 0 ? (bare[0] ?? '') : '';
  return { serial, versions: lists.length > 0 ? listed : bare };
}

/** @returns undefined when no component is named: nobody runs a service that takes nothing */
function readMessages(list: Element | undefined): ReadonlyMap<string, ReadonlySet<string>> | undefined {
  if (list === undefined) return undefined;
  const messages = new Map<string, Set<string>>();
  for (const component of childrenNamed(list, 'component', 'comp')) {
    const name = nameOf(component);
    if (name === '') continue;
    messages.set(
      name,
      new Set(
        childrenNamed(component, 'method')
          .map(nameOf)
          .filter((method) => method !== ''),
      ),
    );
  }
  return messages.size === 0 ? undefined : messages;
}

function nameOf(element: Element): string {
  return (element.attributes?.get('name') ?? textOf(element)).trim().toUpperCase();
}

function readDataTypes(list: Element | undefined): readonly string[] | undefined {
  if (list === undefined) return undefined;
  const types = childrenNamed(list, 'calendar-data-type', 'calendar-data')
    .map((type) => (type.attributes?.get('content-type') ?? '').trim().toLowerCase())
    .filter((type) => type !== '');
  return types.length === 0 ? undefined : types;
}

function readAttachments(list: Element | undefined): Capabilities['attachments'] {
  if (list === undefined) return undefined;
  const has = (...names: readonly string[]): boolean => childrenNamed(list, ...names).length > 0;
  return { inline: has('inline', 'inline-attachment'), external: has('external', 'external-attachment') };
}

/** @returns undefined for an empty or absent limit, and for 0, which no server can mean */
function readCount(element: Element | undefined): number | undefined {
  const text = textOf(element).trim();
  if (!/^\d{1,15}$/.test(text)) return undefined;
  return Number(text) === 0 ? undefined : Number(text);
}

/** UTC, with time or, as some write it, without. */
function readDateTime(element: Element | undefined): number | undefined {
  const found = /^(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d):?(\d\d)Z?)?$/.exec(textOf(element).trim());
  if (found === null) return undefined;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = found
    .slice(1)
    .map((part) => (part === undefined ? 0 : Number(part)));
  const at = Date.UTC(year, month - 1, day, hour, minute, second);
  return Number.isNaN(at) ? undefined : at;
}
