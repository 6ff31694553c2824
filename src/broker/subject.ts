import type { BusyProtocol } from '../../channel/channel.ts';
import type { BusyTarget } from '../../rules/free-busy.ts';
import type { BusyReading } from '../freebusy/busy.ts';
import { addressKey } from '../mail/address.ts';
import type { Inquiry } from './question.ts';

/** One mailbox that servers are asked about, and how far that has come. */
export type Subject = {
  readonly mailbox: string;
  /** In order: the next where the one before knows no such user. */
  readonly targets: readonly BusyTarget[];
  /** Those that have ended. */
  readonly inquiries: Inquiry[];
  /** Who is being asked. */
  pending?: { readonly server: string; readonly protocol: BusyProtocol; readonly since: number };
  /** The last word; absent while there is none. */
  reading?: BusyReading;
  /** That word is that there was none in time. */
  isLate?: true;
};

/** The subjects of one question, each once: an attendee may be in a list as well. */
export class Subjects {
  readonly #subjects = new Map<string, Subject>();
  #unasked: Subject[] = [];

  of(mailbox: string, targets: readonly BusyTarget[]): Subject {
    const key = [addressKey(mailbox), ...targets.map(urlOf)].join(' ');
    let subject = this.#subjects.get(key);
    if (subject === undefined) {
      subject = { mailbox, targets, inquiries: [] };
      this.#subjects.set(key, subject);
      this.#unasked.push(subject);
    }
    return subject;
  }

  /** Those that were not taken before. */
  takeUnasked(): readonly Subject[] {
    const taken = this.#unasked;
    this.#unasked = [];
    return taken;
  }
}

export function urlOf(target: BusyTarget): string {
  return target.kind === 'server' ? target.server.url : target.url;
}
