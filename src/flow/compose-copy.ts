import { asPosted } from '../../rules/correlate.ts';
import { identify } from '../../rules/identity.ts';
import { authorOf } from '../../rules/news.ts';
import { composeCalendarMail } from '../imip/compose.ts';
import type { EventFacts, Person } from '../imip/event-facts.ts';
import type { Outbound } from '../imip/mail.ts';
import { kindOf } from '../imip/words/kind.ts';
import { languageWishes } from '../imip/words/language.ts';
import { wordsFor } from '../imip/words/words.ts';
import { isByAttendee, type SchedulingObject } from '../itip/message.ts';
import { toOutgoing } from '../itip/outgoing.ts';
import { rewriteAddress } from '../itip/rewrite.ts';
import { addressKey, mailboxOf, parseAddress, sameAddress } from '../mail/address.ts';
import { mintToken, verpAddress } from '../mail/verp.ts';
import type { Delivery, Meeting, Message } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import { invitedSpelling } from './facts.ts';
import { factsOf, type Sent, spelledAs, toldBefore } from './journal.ts';

/** The context of a gateway whose mail speaks. */
export type OutboundContext = FlowContext & { readonly outbound: Outbound };

export function speaks(context: FlowContext): context is OutboundContext {
  return context.outbound !== undefined;
}

/** How the copy of one recipient leaves: the same however often, since it follows from queue id and position. */
export function sentAs(
  { hostname, outbound }: OutboundContext,
  { id, envelope }: Message,
  { position }: Pick<Delivery, 'position'>,
): Sent & { readonly token: string } {
  const token = mintToken(outbound.secret, id, position);
  // A null reverse-path says that nobody wants to hear of it (RFC 5321 §4.5.5).
  const reversePath = envelope.reversePath === '' ? '' : verpAddress(outbound.address, token);
  return { token, reversePath, messageId: `${id}.${position}@${hostname}` };
}

/**
 * The mail of one recipient of a post: what is in the object in words, and the object as it may travel. Repeated, it
 * comes out the same to the octet, so that a receiver who has it already can know it; only what an update changes is no
 * longer said once a later one has left. What is stored of the message, and quoted in a delivery report, is the plain
 * mail that holds the object as it was posted.
 * @param languages what the directory says that the recipient reads, when he is one of ours
 */
export function composeCopy(
  context: OutboundContext,
  message: Message,
  object: SchedulingObject,
  delivery: Delivery,
  languages?: readonly string[],
): Buffer {
  const { outbound, store } = context;
  const { recipient } = delivery;
  const spelled = asInvited(context, object);
  const speaking = speakerOf(spelled, message);
  const to = personOf(spelled, recipient);
  const earlier = store
    .sendings(object.uid, { messageIds: [], sentTo: [recipient] })
    .filter(({ queueId, organizer }) => queueId < message.id && isOf(object, organizer));
  const previous = previousOf(context, message, object, recipient, earlier.length > 0);
  const words = wordsFor(
    factsOf(spelled).map(([, facts]) => facts),
    {
      language: languageWishes(outbound, recipient, languages).join(', '),
      recipient: to,
      kind: kindOf(object.method, previous !== undefined || earlier.length > 0),
      ...(previous === undefined ? {} : { previous }),
      ...(isByAttendee(object.method) ? { author: speaking.speaker } : {}),
      ...(outbound.templates === undefined ? {} : { templates: outbound.templates }),
    },
  );
  const inReplyTo = earlier.find(({ messageId }) => messageId !== '')?.messageId;
  const { name, address } = outbound;
  return composeCalendarMail({
    ...words,
    ...identify({ ...speaking, gateway: { name, address }, fromDomains: outbound.fromDomains }),
    to,
    messageId: `<${sentAs(context, message, delivery).messageId}>`,
    ...(inReplyTo === undefined ? {} : { inReplyTo: `<${inReplyTo}>` }),
    date: message.receivedAt,
    calendar: { content: outgoing(spelled, recipient), method: object.method, component: object.component },
  });
}

const invited = new WeakMap<SchedulingObject, SchedulingObject>();

/** What a user of ours answers, by the address that he was invited by where his calendar server knows another. */
function asInvited({ policy, store }: OutboundContext, object: SchedulingObject): SchedulingObject {
  const known = invited.get(object);
  if (known !== undefined) return known;
  const from = authorOf(object);
  const to = invitedSpelling({ policy, store }, object);
  const spelled =
    from === undefined || to === undefined
      ? object
      : { ...asPosted(object, { author: { from, to } }), content: rewriteAddress(object.content, from, to) };
  invited.set(object, spelled);
  return spelled;
}

/** Content by object, where it is the same for all recipients. */
const outgoings = new WeakMap<SchedulingObject, Buffer | 'each'>();
/** An ATTENDEE may be somebody else to each recipient (RFC 7986 §6.2). */
const EMAIL_PARAMETER = /;EMAIL=/i;

function outgoing(object: SchedulingObject, recipient: string): Buffer {
  const { method, content } = object;
  let known = outgoings.get(object);
  if (known === undefined) {
    const unfolded = content.toString('latin1').replace(/\r?\n[ \t]/g, '');
    known = EMAIL_PARAMETER.test(unfolded) ? 'each' : toOutgoing(content, { method });
    outgoings.set(object, known);
  }
  return known === 'each' ? toOutgoing(content, { method, recipient }) : known;
}

/** Who speaks: the ATTENDEE of an answer, else the ORGANIZER; without a mailbox of his, whoever posted it. */
function speakerOf(
  object: SchedulingObject,
  { envelope }: Message,
): { readonly speaker: Person; readonly sentBy?: string } {
  const address = authorOf(object) ?? envelope.reversePath;
  const user = isByAttendee(object.method) ? object.attendees[0] : object.organizer;
  const sentBy = user?.sentBy === undefined ? undefined : delegateOf(user.sentBy);
  return { speaker: personOf(object, address), ...(sentBy === undefined ? {} : { sentBy }) };
}

/** SENT-BY is a URI; some write the mailbox alone. */
function delegateOf(sentBy: string): string | undefined {
  return mailboxOf(sentBy) ?? (/^[^:\s]+$/.test(sentBy) && parseAddress(sentBy) !== undefined ? sentBy : undefined);
}

const names = new WeakMap<SchedulingObject, ReadonlyMap<string, string>>();

/** Somebody with the name that the object has for him. */
function personOf(object: SchedulingObject, address: string): Person {
  let known = names.get(object);
  if (known === undefined) {
    const people = factsOf(object).flatMap(([, { organizer, attendees }]) => [...attendees, organizer]);
    known = new Map(people.flatMap((one) => (one?.name === undefined ? [] : [[addressKey(one.address), one.name]])));
    names.set(object, known);
  }
  const name = known.get(addressKey(address));
  return name === undefined ? { address } : { name, address };
}

/** Another organizer's meeting may have the same UID, and is nobody else's to know of. */
function isOf({ organizer }: SchedulingObject, mailbox: string): boolean {
  return organizer?.mailbox === undefined || sameAddress(organizer.mailbox, mailbox);
}

const meetings = new WeakMap<Message, { readonly meeting: Meeting | undefined }>();

/** The meeting, read once for all recipients of a message. */
function knownMeeting(
  store: OutboundContext['store'],
  message: Message,
  object: SchedulingObject,
): Meeting | undefined {
  let known = meetings.get(message);
  if (known === undefined) {
    known = { meeting: store.meeting(object.uid, object.organizer?.mailbox) };
    meetings.set(message, known);
  }
  return known.meeting;
}

/**
 * What had been told of the same component before; undefined for a recipient who is new to the meeting.
 * @param isKnown whether something of the meeting was sent to him
 */
function previousOf(
  { store, policy }: OutboundContext,
  message: Message,
  object: SchedulingObject,
  recipient: string,
  isKnown: boolean,
): EventFacts | undefined {
  const [first] = factsOf(object);
  const meeting = knownMeeting(store, message, object);
  const told = toldBefore(meeting, message, first?.[0] ?? '') ?? toldBefore(meeting, message, '');
  if (told === undefined || isKnown || isByAttendee(object.method)) return told;
  const attendee = spelledAs(object, recipient, policy.subAddressSeparators);
  return told.attendees.some(({ address }) => sameAddress(address, attendee)) ? told : undefined;
}
