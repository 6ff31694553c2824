import { mailboxOf } from '../mail/address.ts';
import { isMethod, type Method } from './message.ts';
import { masterOf, organizerOf, readObject, textOf } from './stored.ts';

/** What a receiver compares its request's headers with. */
export type MessageFacts = {
  readonly method: Method;
  readonly component: 'VEVENT' | 'VTODO';
  readonly uid: string;
  readonly organizer?: string;
  /** Mailboxes of all attendees, in order. */
  readonly attendees: readonly string[];
};

/** @returns a sentence saying what is wrong when it is no iTIP message of one VEVENT or VTODO */
export function readMessageFacts(text: string): MessageFacts | string {
  try {
    const object = readObject(text);
    if (!isMethod(object.method))
      return object.method === '' ? 'it has no METHOD' : `METHOD ${object.method} is unknown`;
    const organizer = organizerOf(object);
    const attendees = object.items.flatMap((item) =>
      item.getAllProperties('attendee').flatMap((attendee) => mailboxOf(String(attendee.getFirstValue())) ?? []),
    );
    const { method, component, uid } = object;
    return { method, component, uid, ...(organizer === undefined ? {} : { organizer }), attendees };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error.message;
  }
}

/** What a list of events shows of one. `status` is '' when the object has none. */
export type StoredEvent = { readonly uid: string; readonly summary: string; readonly status: string };

/** Reads a stored object for a list. @returns undefined when it cannot be read */
export function describeStored(text: string): StoredEvent | undefined {
  try {
    const { uid, items } = readObject(text);
    const item = masterOf(items) ?? items[0];
    if (item === undefined) return undefined;
    return { uid, summary: textOf(item, 'summary'), status: textOf(item, 'status').toUpperCase() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}
