/** Delivery reports and automatic answers, as mail servers of the world send them: invented, CRLF. */

export type ReportFields = {
  /** Where the report is sent: the envelope sender of what it is about. */
  readonly to: string;
  /** Whom the mail was for. */
  readonly recipient: string;
  readonly action: 'failed' | 'delayed';
  readonly status: string;
  /** The last word of the server that was asked. */
  readonly diagnostic: string;
};

/** A report (RFC 3464), to be sent from the null reverse-path. */
export function deliveryReport({ to, recipient, action, status, diagnostic }: ReportFields): string {
  return lines(
    'From: MAILER-DAEMON@mx.outside.test (Mail Delivery System)',
    `To: ${to}`,
    `Subject: ${action === 'failed' ? 'Undelivered Mail Returned to Sender' : 'Delayed Mail (still being retried)'}`,
    'Date: Wed, 02 Jan 2030 09:00:00 +0000',
    `Message-ID: <20300102090000.${action}.${recipient.split('@')[0]}@mx.outside.test>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary="4FZ.1893575000/mx"',
    '',
    '--4FZ.1893575000/mx',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'This is the mail system at host mx.outside.test.',
    '',
    `<${recipient}>: ${diagnostic}`,
    '',
    '--4FZ.1893575000/mx',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.outside.test',
    'Arrival-Date: Wed, 02 Jan 2030 08:59:00 +0000',
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    `Original-Recipient: rfc822;${recipient}`,
    `Action: ${action}`,
    `Status: ${status}`,
    `Diagnostic-Code: smtp; ${diagnostic}`,
    '',
    '--4FZ.1893575000/mx--',
  );
}

/** What a person who is away sends to everybody who writes (RFC 3834). */
export function vacationAnswer({ from, to }: { readonly from: string; readonly to: string }): string {
  return lines(
    `From: ${from}`,
    `To: ${to}`,
    'Subject: Out of office: Re: Invitation',
    'Date: Wed, 02 Jan 2030 09:10:00 +0000',
    `Message-ID: <vacation.1893575400@${from.split('@')[1]}>`,
    'Auto-Submitted: auto-replied',
    '',
    'I am on holiday until Monday.',
  );
}

function lines(...all: readonly string[]): string {
  return `${all.join('\r\n')}\r\n`;
}
