import { type Capabilities, parseCapabilities } from '../../channel/ischedule/capabilities.ts';
import type { Announced } from './conformance-target.ts';
import { type Answer, header } from './http-answer.ts';

/** The capabilities in an answer to a question for them; undefined when it is none. */
export function readAnnounced(answer: Answer, layout: Announced['layout']): Announced | undefined {
  if (answer.kind === 'nothing' || answer.status !== 200) return undefined;
  const reading = parseCapabilities(answer.body, header(answer, 'Content-Type') ?? '');
  return reading.kind === 'capabilities' ? { ...reading.capabilities, layout } : undefined;
}

/** Capabilities as rows of a table. What is absent is said, since it means something: no limit, or nothing. */
export function capabilityRows(capabilities: Capabilities): readonly (readonly [what: string, value: string])[] {
  const { messages, attachments } = capabilities;
  const taken = [...(messages ?? [])].map(
    ([component, methods]) => `${component} ${methods.size === 0 ? 'every method' : [...methods].join(' ')}`,
  );
  const kinds = (['inline', 'external'] as const).filter((kind) => attachments?.[kind] === true);
  const date = (ms: number | undefined): string => (ms === undefined ? 'no limit' : new Date(ms).toISOString());
  return [
    ['serial number', capabilities.serial || 'none'],
    ['versions', capabilities.versions.join(', ') || 'none'],
    ['takes', taken.join('; ') || 'not said'],
    ['data types', capabilities.dataTypes?.join(', ') ?? 'not said'],
    ['attachments', attachments === undefined ? 'not said' : kinds.join(', ') || 'none'],
    [
      'largest object',
      capabilities.maxContentLength === undefined ? 'no limit' : `${capabilities.maxContentLength} octets`,
    ],
    ['most recipients', String(capabilities.maxRecipients ?? 'no limit')],
    ['most instances', String(capabilities.maxInstances ?? 'no limit')],
    ['earliest date', date(capabilities.minDateTime)],
    ['latest date', date(capabilities.maxDateTime)],
    ['administrator', capabilities.administrator ?? 'not said'],
  ];
}
