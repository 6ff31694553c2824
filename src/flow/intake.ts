import { isAscii } from 'node:buffer';
import { Examiner } from '../itip/extract.ts';
import type { Examination } from '../itip/message.ts';
import { canonicalAddress, parseAddress } from '../mail/address.ts';
import type { HeaderField } from '../mail/header.ts';
import { HeaderFilter } from '../mail/header-filter.ts';
import { soleMailbox } from '../mail/mailbox-list.ts';
import { isOwnReceived } from '../mail/received.ts';
import type { Message, StoredBody } from '../queue/store.ts';
import type { Incoming } from './acceptor.ts';
import type { FlowContext } from './context.ts';

const MAX_LINE = 998; // RFC 5322 §2.1.1
const MAX_PATH = 256; // RFC 5321 §4.5.3.1.3
const MAX_DELIVERED_TO = 10;
const MAX_REFERENCES = 20;
const MAX_REFERENCE_OCTETS = 250;

/** Whose an answer is, and to what. */
export type AnswerFields = Pick<Message, 'from' | 'references'>;

/** A message that has come in whole; nothing of it is safe yet. */
export type Received = {
  readonly examination: Examination;
  readonly messageId: string | undefined;
  /** Mailboxes of the Delivered-To fields, topmost first, each once. */
  readonly deliveredTo: readonly string[];
  /** Of a message with a scheduling object; empty for any other. */
  readonly answer: AnswerFields;
  readonly size: number;
  readonly eightBit: boolean;
  readonly hops: { readonly own: number; readonly all: number };
  /** fsyncs what is not in memory. */
  store(): Promise<StoredBody>;
  discard(): Promise<void>;
};

/**
 * Reads the content once: into the queue's body writer and the examiner at the same time.
 * @param ownFields header fields in lower case that only we may set; they are taken out
 * @throws what the content threw, after forgetting what was written
 */
export async function receive(
  context: FlowContext,
  incoming: Incoming,
  ownFields: ReadonlySet<string>,
): Promise<Received> {
  const writer = context.store.openBody();
  const examiner = new Examiner(context.examine);
  let size = 0;
  let eightBit = false;
  const feed = async (chunk: Buffer): Promise<void> => {
    size += chunk.length;
    eightBit ||= !isAscii(chunk);
    const examining = examiner.write(chunk);
    await writer.write(chunk);
    if (examining !== undefined) await examining;
  };
  const header = new HeaderFilter(ownFields);
  try {
    for await (const chunk of incoming.content) {
      const kept = header.push(chunk);
      if (kept.length > 0) await feed(kept);
    }
    const rest = header.end();
    if (rest.length > 0) await feed(rest);
  } catch (error) {
    examiner.destroy();
    await writer.abort();
    throw error;
  }
  const fields = header.fields();
  const examined = await examination(examiner);
  return {
    ...readFields(fields, context.hostname),
    examination: examined,
    answer: examined.kind === 'object' ? readAnswer(fields) : {},
    size,
    eightBit,
    store: () => writer.finish(),
    discard: () => writer.abort(),
  };
}

/** What the header of a message tells of its way. */
export function readFields(
  fields: readonly HeaderField[],
  hostname: string,
): Pick<Received, 'messageId' | 'deliveredTo' | 'hops'> {
  const hops = fields.filter((field) => field.name === 'received');
  return {
    messageId: shownMessageId(fields.find((field) => field.name === 'message-id')?.value),
    deliveredTo: deliveredTo(fields),
    hops: { own: hops.filter((field) => isOwnReceived(field.value, hostname)).length, all: hops.length },
  };
}

/** What the header of a message tells of its author, and of what it answers. */
export function readAnswer(fields: readonly HeaderField[]): AnswerFields {
  const authors = fields.filter(({ name }) => name === 'from');
  const [author] = authors;
  const from = author === undefined || authors.length > 1 ? undefined : soleMailbox(author.value);
  const idsOf = (wanted: string) => messageIdsIn(fields.find(({ name }) => name === wanted)?.value);
  // Of References the last is the parent (RFC 5322 §3.6.4).
  const references = [...new Set([...idsOf('in-reply-to'), ...idsOf('references').reverse()])].slice(0, MAX_REFERENCES);
  return {
    ...(from === undefined ? {} : { from }),
    ...(references.length === 0 ? {} : { references }),
  };
}

/** The last of the ids in a field, angle brackets off. */
function messageIdsIn(value = ''): string[] {
  const end = value.slice(-MAX_REFERENCES * (MAX_REFERENCE_OCTETS + 3));
  const ids = Array.from(end.matchAll(/<([^<>\s]+)>/g), ([, id = '']) => id);
  return ids.filter((id) => Buffer.byteLength(id) <= MAX_REFERENCE_OCTETS);
}

function deliveredTo(fields: readonly HeaderField[]): string[] {
  const mailboxes = new Set<string>();
  for (const { name, value } of fields) {
    if (name !== 'delivered-to' || value.length > MAX_PATH) continue;
    const written = value.replace(/^<(.*)>$/, '$1');
    // Some write more than an address here, which then is none.
    if (/\s/.test(written) || parseAddress(written) === undefined) continue;
    mailboxes.add(canonicalAddress(written));
    if (mailboxes.size === MAX_DELIVERED_TO) break;
  }
  return [...mailboxes];
}

/** As it goes into the queue and every log line: no longer than a line may be, nothing that a terminal would obey. */
function shownMessageId(value: string | undefined): string | undefined {
  return value?.slice(0, MAX_LINE).replace(/\p{Cc}/gu, '?');
}

/** A parser that breaks makes a decision, mail only; nothing stands between the message and the queue. */
async function examination(examiner: Examiner): Promise<Examination> {
  try {
    return await examiner.finish();
  } catch (error) {
    return {
      kind: 'none',
      reason: `could not be examined: ${error instanceof Error ? error.message : String(error)}`,
      calendar: true,
    };
  }
}
