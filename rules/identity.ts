import type { Person } from '../src/imip/event-facts.ts';
import { domainOf } from '../src/mail/address.ts';

/** Who speaks in a mail that we compose. */
export type Speaking = {
  /** The ORGANIZER, or the ATTENDEE of a REPLY. */
  readonly speaker: Person;
  /** Mailbox of the delegate who acts for him (SENT-BY). */
  readonly sentBy?: string;
  /** Our own mailbox, with the name of the service. */
  readonly gateway: Person;
  /** Domains whose users we may put in From; normalised. */
  readonly fromDomains: ReadonlySet<string>;
};

export type Identity = { readonly from: Person; readonly sender?: Person; readonly replyTo?: Person };

/** Longer names are no names. */
const MAX_NAME = 80;

/**
 * The fields of a mail that say who it is from, so that it passes DMARC (RFC 7489 §3.1): the user where we may speak for
 * his domain, else ourselves in his name, with the answers going to him. Sender says who acted where From does not
 * (RFC 5322 §3.6.2): a delegate whose domain we may speak for, or we in the place of one of another domain.
 */
export function identify({ speaker, sentBy, gateway, fromDomains }: Speaking): Identity {
  const user = named(speaker);
  if (!fromDomains.has(domainOf(speaker.address))) {
    const shown = user.name ?? cleanName(localPart(speaker.address));
    const service = named(gateway).name;
    const name = [shown, service].filter((part) => part !== undefined).join(' via ');
    return { from: { ...(name === '' ? {} : { name }), address: gateway.address }, replyTo: user };
  }
  if (sentBy === undefined || domainOf(sentBy) === '' || isSame(sentBy, speaker.address)) return { from: user };
  return { from: user, sender: fromDomains.has(domainOf(sentBy)) ? { address: sentBy } : named(gateway) };
}

/**
 * A display name as it may be shown beside an address: one line of bounded length, without what turns text around.
 * @returns undefined for none, and for one that holds an address, which a reader would take for the sender's
 */
export function cleanName(name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const bounded = name.slice(0, 8 * MAX_NAME).toWellFormed();
  const clean = bounded
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    // Format characters hold Persian and Indic words, and emoji, together (ZWNJ, ZWJ); all others hide or turn something.
    .replace(/(?![\u200c\u200d])\p{Cf}/gu, '')
    .trim();
  // Also in the forms that look like it: ＠ and ﹫, and with a blank that a narrow column hides.
  if (/\S@\S|@\s*[^\s.]+\.\S/.test(clean.normalize('NFKC'))) return undefined;
  const shown = clipped(clean);
  return shown === '' ? undefined : shown;
}

function named({ name, address }: Person): Person {
  const clean = cleanName(name);
  return clean === undefined ? { address } : { name: clean, address };
}

function clipped(text: string): string {
  const characters = [...text];
  return characters.length <= MAX_NAME
    ? text
    : `${characters
        .slice(0, MAX_NAME - 1)
        .join('')
        .trimEnd()}…`;
}

function localPart(address: string): string {
  return address.slice(0, address.lastIndexOf('@'));
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
