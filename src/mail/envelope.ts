export const NOTIFY_VALUES = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'] as const;
/** RFC 3461 §4.1. An absent NOTIFY means FAILURE, at most DELAY. */
export type Notify = (typeof NOTIFY_VALUES)[number];

/** One accepted RCPT. Equal addresses stay apart: LMTP owes a reply to each (RFC 2033 §4.2). */
export type EnvelopeRecipient = {
  /** Where the mail goes; on a `copy` listener after the domain rewrite. Domain in A-label form. */
  readonly address: string;
  /** As it stood in RCPT TO. */
  readonly received: string;
  /** Original recipient, `type;address` with the address xtext-decoded (RFC 3461 §4.2). */
  readonly orcpt?: string;
  readonly notify?: readonly Notify[];
};

/** Who handed the message over. With XFORWARD or XCLIENT from a listed MTA these are the real client's. */
export type Client = {
  readonly address: string;
  readonly name?: string;
  readonly helo?: string;
  /** `SMTP`, `ESMTP`, `ESMTPS`, `LMTP` … as in the with clause of Received (RFC 5321 §4.4, RFC 3848). */
  readonly protocol: string;
};

export type Envelope = {
  /** Reverse-path without brackets; '' is the null reverse-path. */
  readonly reversePath: string;
  readonly recipients: readonly EnvelopeRecipient[];
  readonly envid?: string;
  readonly ret?: 'FULL' | 'HDRS';
  readonly smtpUtf8: boolean;
  readonly body: '7BIT' | '8BITMIME';
};

export function isNullReversePath(envelope: Pick<Envelope, 'reversePath'>): boolean {
  return envelope.reversePath === '';
}
