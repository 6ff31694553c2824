/** Enhanced status codes, RFC 3463. The class is in the type, so an outcome cannot contradict its status. */
export type SuccessStatus = `2.${number}.${number}`;
export type TransientStatus = `4.${number}.${number}`;
export type PermanentStatus = `5.${number}.${number}`;
export type Status = SuccessStatus | TransientStatus | PermanentStatus;

/** One SMTP or LMTP reply: basic code, enhanced status, text without either. */
export type Reply = { readonly code: number; readonly status: Status; readonly text: string };

// Basic codes that differ from the class's usual one (style.md, Failures).
const CODES: Readonly<Record<string, number>> = {
  '4.3.1': 452,
  '4.5.3': 452,
  '4.2.1': 450,
  '5.1.3': 501,
  '5.3.4': 552,
  '5.4.6': 554,
  '5.5.1': 503,
  '5.5.2': 500,
  '5.5.4': 555,
  '5.6.0': 554,
  '5.6.7': 553,
  '5.7.0': 530,
};
const CLASS_CODES: Readonly<Record<string, number>> = { '2': 250, '4': 451, '5': 550 };

/** The basic reply code that goes with an enhanced status. */
export function replyCode(status: Status): number {
  return CODES[status] ?? CLASS_CODES[status.charAt(0)] ?? 451;
}

export function reply(status: Status, text: string): Reply {
  return { code: replyCode(status), status, text };
}
