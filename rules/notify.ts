import type { Notify } from '../src/mail/envelope.ts';
import type { Mode } from '../src/queue/store.ts';

/** What is known when one delivery has come to its end. */
export type Ending = {
  readonly mode: Mode;
  readonly kind: 'post' | 'mail';
  readonly outcomeKind: 'failed' | 'expired' | 'delivered';
  readonly notify?: readonly Notify[];
  readonly nullReversePath: boolean;
  /** The next hop took the mail but knows no DSN, so nobody after us will report success. */
  readonly relayedWithoutDsn: boolean;
  /** The client that handed the message over has not had its reply yet, and this ending may be that reply. */
  readonly sessionWaits: boolean;
  /** The client left without its reply, so that it still owns the message. */
  readonly clientGone?: boolean;
};

export type Telling =
  | { readonly told: 'reply'; readonly why: string }
  | { readonly told: 'dsn'; readonly action: 'failed' | 'relayed' | 'delivered'; readonly why: string }
  | { readonly told: 'nobody'; readonly why: string };

/**
 * Who is told how a delivery ended: the waiting client by its reply, or the sender by a DSN, never both (RFC 3461
 * §5.2, §6; RFC 3464 §2).
 *
 * A failed or expired post counts as the message's failure in `final` and `relay`: in `filter` the mailbox has the mail,
 * in `copy` the original went its own way. In `relay` the reply is the answer that the peer waits for, the sender is the
 * Originator, and what went by mail in place of a post ends as any mail does.
 */
export function whoIsTold(ending: Ending): Telling {
  if (ending.mode === 'copy') return nobody('a copy listener is handed duplicates, whose senders did not send them');
  if (ending.kind === 'post' && ending.mode === 'filter')
    return nobody('the mail went on to the mailbox, whatever became of the post');
  return ending.outcomeKind === 'delivered' ? onSuccess(ending) : onFailure(ending);
}

function onFailure(ending: Ending): Telling {
  // A reply is no DSN: it is owed to the client even for the null reverse-path and for NOTIFY=NEVER.
  if (ending.sessionWaits) return { told: 'reply', why: 'the client still waits for its reply' };
  // It sends the message again, or reports the failure itself (RFC 5321 §4.2.5).
  if (ending.clientGone === true) return nobody('the client left without its reply');
  if (ending.nullReversePath) return nobody('the reverse-path is null');
  // Absent means FAILURE (RFC 3461 §4.1).
  if (ending.notify !== undefined && !ending.notify.includes('FAILURE'))
    return nobody(`the sender asked for NOTIFY=${ending.notify.join(',')}`);
  return { told: 'dsn', action: 'failed', why: 'the client had its reply before' };
}

function onSuccess(ending: Ending): Telling {
  if (!(ending.notify ?? []).includes('SUCCESS'))
    return nobody('success is reported only where NOTIFY=SUCCESS asks for it');
  if (ending.nullReversePath) return nobody('the reverse-path is null');
  if (ending.kind === 'post')
    return {
      told: 'dsn',
      action: 'delivered',
      why: 'the sender asked for NOTIFY=SUCCESS, and the calendar is the last stop',
    };
  if (ending.relayedWithoutDsn)
    return {
      told: 'dsn',
      action: 'relayed',
      why: 'the sender asked for NOTIFY=SUCCESS, and the next hop knows no DSN',
    };
  return nobody('the next hop reports success');
}

function nobody(why: string): Telling {
  return { told: 'nobody', why };
}
