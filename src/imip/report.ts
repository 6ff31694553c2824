import { composeCalendarMail } from './compose.ts';
import type { Person } from './event-facts.ts';
import type { Words } from './mail.ts';

/** That an invitation did not reach somebody, for its organizer. */
export type FailureReport = {
  readonly gateway: Person;
  /** What the organizer reads. */
  readonly words: Words & { readonly language: string };
  readonly to: Person;
  /** Makes its Message-ID. */
  readonly queueId: string;
  readonly hostname: string;
  /** Message-ID of the mail that did not arrive, angle brackets off; '' when it had none. */
  readonly about: string;
  /** ms since the epoch */
  readonly now: number;
};

/** A mail of the gateway's own, to be sent from the null reverse-path, so that nothing answers it (RFC 3834 §3.3, §5). */
export function composeFailureReport({ gateway, words, to, queueId, hostname, about, now }: FailureReport): Buffer {
  return composeCalendarMail({
    ...words,
    from: gateway,
    to,
    messageId: `<${queueId}@${hostname}>`,
    ...(about === '' ? {} : { inReplyTo: `<${about}>` }),
    date: now,
    autoSubmitted: 'auto-replied',
  });
}
