import { PASSWORD } from '../servers/servers.ts';

/** A collection of calendar objects, through CalDAV as the user's own program would. */
class Collection {
  readonly #base: string;
  readonly #authorization: string;

  constructor(base: string, user: string) {
    this.#base = base;
    this.#authorization = `Basic ${Buffer.from(`${user}:${PASSWORD}`).toString('base64')}`;
  }

  /** The stored object with lines unfolded; undefined when there is none. */
  async read(uid: string): Promise<string | undefined> {
    const response = await fetch(this.#address(uid), { headers: { Authorization: this.#authorization } });
    const text = await response.text();
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`GET ${uid}: ${response.status} ${text}`);
    return text.replace(/\r?\n[ \t]/g, '');
  }

  async put(uid: string, object: string): Promise<void> {
    const response = await fetch(this.#address(uid), {
      method: 'PUT',
      headers: { Authorization: this.#authorization, 'Content-Type': 'text/calendar' },
      body: object,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`PUT ${uid}: ${response.status} ${text}`);
  }

  async remove(uid: string): Promise<void> {
    const response = await fetch(this.#address(uid), {
      method: 'DELETE',
      headers: { Authorization: this.#authorization },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`DELETE ${uid}: ${response.status} ${text}`);
  }

  #address(uid: string): string {
    return `${this.#base}${encodeURIComponent(uid).replaceAll('%40', '@')}.ics`;
  }
}

/** A user's default calendar on Cyrus. */
export class CyrusCalendar extends Collection {
  constructor(url: string, user: string) {
    super(`${url}/dav/calendars/user/${user}/Default/`, user);
  }
}

/** A user's calendar on DAViCal, or his scheduling Inbox, which keeps what is posted for him. */
export class DavicalCollection extends Collection {
  /** @param user local part */
  constructor(url: string, user: string, collection: 'calendar' | '.in') {
    super(`${url}/caldav.php/${user}/${collection}/`, user);
  }
}

/** A user's calendar on SOGo. */
export class SogoCalendar extends Collection {
  constructor(url: string, user: string) {
    super(`${url}/${user}/Calendar/personal/`, user);
  }
}
