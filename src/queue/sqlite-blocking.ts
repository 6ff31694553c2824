import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** A post that is not open any more, or not under this user; '' is a user the directory has not named. */
export type EndedPost = { readonly uid: string; readonly user: string; readonly message: number };

/**
 * Keeps posts of one key in order (`Store.accept`): a post is blocked while an earlier message has an open one with
 * its UID, of its user or of a user not known; one of a user not known, while there is any. Whether it is stands in its
 * row, so that claiming passes over any number of blocked ones at no cost. Everything here runs inside a transaction of
 * its caller and looks at few rows, also when thousands of attendees have two updates waiting.
 */
export class Blocking {
  readonly #earlierOfUser: StatementSync;
  readonly #earlierOfAny: StatementSync;
  readonly #first: StatementSync;
  readonly #releaseUnknown: StatementSync;
  readonly #releaseUser: StatementSync;
  readonly #releaseAll: StatementSync;
  readonly #revise: StatementSync;
  readonly #blockUser: StatementSync;
  readonly #blockAll: StatementSync;

  constructor(db: DatabaseSync) {
    const open = `kind = 'post' AND state IN ('queued', 'held')`;
    const posts = `FROM deliveries WHERE uid = :uid AND ${open}`;
    const earlier = `EXISTS (SELECT 1 FROM deliveries AS e WHERE e.uid = d.uid AND e.kind = 'post'
      AND e.state IN ('queued', 'held') AND e.user IN ('', d.user) AND e.message < d.message)`;
    const update = (set: string) => `UPDATE deliveries AS d SET blocked = ${set} WHERE uid = :uid AND ${open}`;
    this.#earlierOfUser = db.prepare(`SELECT 1 ${posts} AND user IN ('', :user) AND message < :message LIMIT 1`);
    this.#earlierOfAny = db.prepare(`SELECT 1 ${posts} AND message < :message LIMIT 1`);
    this.#first = db.prepare(`SELECT min(message) AS message ${posts}`);
    this.#releaseUnknown = db.prepare(`${update('0')} AND user = '' AND message <= :first AND blocked = 1`);
    this.#releaseUser = db.prepare(`${update('0')} AND user = :user AND blocked = 1 AND NOT ${earlier}
      AND message = (SELECT min(message) ${posts} AND user = :user)`);
    this.#releaseAll = db.prepare(`${update('0')} AND user <> '' AND blocked = 1 AND NOT ${earlier}`);
    this.#blockUser = db.prepare(`${update('1')} AND user = :user AND message > :message AND blocked = 0`);
    this.#blockAll = db.prepare(`${update('1')} AND message > :message AND blocked = 0`);
    this.#revise = db.prepare(`${update(earlier)} AND user = :user`);
  }

  /** Whether a post of this message has to wait. @param user undefined while the directory has not said */
  isBlocked(uid: string, user: string | undefined, message: number): boolean {
    const found =
      user === undefined ? this.#earlierOfAny.get({ uid, message }) : this.#earlierOfUser.get({ uid, user, message });
    return found !== undefined;
  }

  /** Lets go what the ended post was the last to block. */
  release({ uid, user, message }: EndedPost): void {
    const first = this.#first.get({ uid })?.message;
    if (typeof first !== 'number') return; // nothing of this UID is open: the usual case
    this.#releaseUnknown.run({ uid, first });
    if (user !== '') this.#releaseUser.run({ uid, user });
    // Another one of the same or an earlier message that is still unknown blocks all that this one did.
    else if (this.#earlierOfUser.get({ uid, user: '', message: message }) === undefined) this.#releaseAll.run({ uid });
  }

  /**
   * Blocks what is there already of later messages, when posts of an earlier one join it.
   * @param users those of the posts that joined; '' is one not known
   */
  precede(uid: string, users: ReadonlySet<string>, message: number): void {
    if (users.has('')) this.#blockAll.run({ uid, message });
    else for (const user of ['', ...users]) this.#blockUser.run({ uid, user, message });
  }

  /** Asks anew for every post of a user: one more turned out to be his. */
  revise(uid: string, user: string): void {
    this.#revise.run({ uid, user });
  }
}
