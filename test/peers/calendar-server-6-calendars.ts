import {
  type BusyTime,
  type CalendarText,
  errnoCalendar,
  layOver,
  type Range,
  replyCalendar,
  type VPostedQuestion,
} from './calendar-server-6-text.ts';

/** A calendar of a user. */
export type Cs6Calendar = {
  readonly calid: string;
  readonly name?: string;
  readonly busy: readonly BusyTime[];
  /** false: left out of free/busy, whatever its access control says. */
  readonly fbinclude?: boolean;
  /** `open`, the product's default: everyone sees busy times. `closed`: errno 28. */
  readonly acl?: 'open' | 'closed';
};

export type Cs6User = {
  readonly uid: string;
  /** Lower case; the first one is how the server names him. */
  readonly mail: readonly string[];
  /** The first one is his default calendar. */
  readonly calendars: readonly Cs6Calendar[];
};

export type Found =
  | {
      readonly kind: 'calendars';
      readonly calendars: readonly Cs6Calendar[];
      readonly owner: Cs6User;
      readonly email?: string;
    }
  | { readonly kind: 'unknown'; readonly calid: string };

/** What is in the calendar database of the stand-in, and who may see it. */
export class Cs6Calendars {
  readonly #byMail = new Map<string, Cs6User>();
  readonly #byCalid = new Map<string, { readonly owner: Cs6User; readonly calendar: Cs6Calendar }>();

  constructor(users: readonly Cs6User[]) {
    for (const user of users) {
      for (const mail of user.mail) this.#byMail.set(mail, user);
      for (const calendar of user.calendars) this.#byCalid.set(calendar.calid, { owner: user, calendar });
    }
  }

  /** Whom `calid`, else `mail`, names. @param caller whose default calendar it is where neither is there */
  find(parameters: URLSearchParams, caller: string | undefined): readonly Found[] {
    const mail = parameters.get('mail');
    if (mail !== null && !parameters.has('calid')) {
      const owner = this.#byMail.get(mail.toLowerCase());
      return [
        owner === undefined
          ? { kind: 'unknown', calid: mail }
          : { kind: 'calendars', owner, calendars: owner.calendars },
      ];
    }
    const calids = (parameters.get('calid') ?? caller ?? '').split(';').filter((calid) => calid !== '');
    return calids.map((calid): Found => {
      const email = /^mailto:(.*)$/i.exec(calid)?.[1]?.toLowerCase();
      if (email === undefined) {
        const known = this.#byCalid.get(calid);
        return known === undefined
          ? { kind: 'unknown', calid }
          : { kind: 'calendars', owner: known.owner, calendars: [known.calendar] };
      }
      const owner = this.#byMail.get(email);
      return owner === undefined
        ? { kind: 'unknown', calid }
        : { kind: 'calendars', owner, calendars: owner.calendars.slice(0, 1), email: owner.mail[0] ?? email };
    });
  }

  texts(
    found: Found,
    range: Range,
    how: { withFree: boolean; overridesAcl: boolean; each: boolean },
  ): readonly CalendarText[] {
    if (found.kind === 'unknown') return [{ ...errnoCalendar(29), calid: found.calid }];
    const { owner, email } = found;
    const counting = found.calendars.filter(({ fbinclude }) => fbinclude !== false);
    const open = counting.filter(({ acl }) => acl !== 'closed' || how.overridesAcl);
    const text = (calendar: Cs6Calendar | undefined, busy: readonly BusyTime[]): CalendarText => ({
      calid: calendar?.calid ?? owner.uid,
      name: calendar?.name ?? owner.uid,
      owner: owner.uid,
      ...(email === undefined ? {} : { email }),
      freeBusy: { range, times: layOver(busy, range, how.withFree) },
      errno: 0,
    });
    const denied = (calendar: Cs6Calendar | undefined) => ({
      ...errnoCalendar(28),
      calid: calendar?.calid ?? owner.uid,
    });
    if (how.each && counting.length > 0)
      return counting.map((calendar) => (open.includes(calendar) ? text(calendar, calendar.busy) : denied(calendar)));
    if (counting.length > 0 && open.length === 0) return [denied(counting[0])];
    const busy = open.flatMap((calendar) => calendar.busy);
    return [text(open[0] ?? found.calendars[0], busy)];
  }

  /** Of an iSchedule question: as everyone sees them. */
  answer(question: VPostedQuestion): readonly { attendee: string; status: string; calendar: string | undefined }[] {
    return question.attendees.map((attendee) => {
      const owner = this.#byMail.get(attendee.replace(/^mailto:/i, '').toLowerCase());
      if (owner === undefined) return { attendee, status: '3.7;Invalid calendar user', calendar: undefined };
      const counting = owner.calendars.filter(({ fbinclude }) => fbinclude !== false);
      const open = counting.filter(({ acl }) => acl !== 'closed');
      if (counting.length > 0 && open.length === 0)
        return { attendee, status: '3.8;No authority', calendar: undefined };
      const times = layOver(
        open.flatMap(({ busy }) => busy),
        question.range,
        false,
      );
      return { attendee, status: '2.0;Success', calendar: replyCalendar(question, [{ attendee, times }]) };
    });
  }
}
