/** How long a target that failed comes after the others. */
const SET_BACK_MS = 2 * 60_000;
/** However long a server asks for, it is tried again after this. */
const MAX_PAUSE_MS = 60 * 60_000;
const MAX_KNOWN = 64;

/** Which addresses of a service failed lately, which asked to be left alone, and what they take at most. */
export class Targets {
  readonly #mostRecipients = new Map<string, number>();
  readonly #failedUntil = new Map<string, number>();
  readonly #pausedUntil = new Map<string, number>();

  /** @returns each once, in the given order, those that failed lately after the others */
  inOrder(targets: readonly URL[], now: number): readonly URL[] {
    if (targets.length === 1) return targets;
    const unique = [...new Map(targets.map((target) => [target.href, target])).values()];
    const isSetBack = (target: URL): boolean => (this.#failedUntil.get(target.origin) ?? 0) > now;
    return [...unique.filter((target) => !isSetBack(target)), ...unique.filter(isSetBack)];
  }

  failed(target: URL, now: number): void {
    remember(this.#failedUntil, target.origin, now + SET_BACK_MS);
  }

  worked(target: URL): void {
    this.#failedUntil.delete(target.origin);
  }

  /** A post for so many recipients was refused as one for too many. */
  refusedFor(target: URL, recipients: number): void {
    const fewer = Math.max(1, Math.floor(recipients / 2));
    remember(this.#mostRecipients, target.origin, Math.min(fewer, this.mostRecipients(target) ?? fewer));
  }

  /** @returns how many recipients a post may have, undefined when no refusal has told */
  mostRecipients(target: URL): number | undefined {
    return this.#mostRecipients.get(target.origin);
  }

  /** @param forMs what the server asked for (RFC 9110 §10.2.3) */
  pause(target: URL, forMs: number, now: number): void {
    if (forMs > 0) remember(this.#pausedUntil, target.origin, now + Math.min(forMs, MAX_PAUSE_MS));
  }

  /** @returns ms for which it is still to be left alone, 0 when it may be spoken to */
  pausedMs(target: URL, now: number): number {
    const until = this.#pausedUntil.get(target.origin);
    if (until === undefined) return 0;
    if (until > now) return until - now;
    this.#pausedUntil.delete(target.origin);
    return 0;
  }
}

function remember(map: Map<string, number>, key: string, value: number): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > MAX_KNOWN && oldest !== undefined) map.delete(oldest);
}
