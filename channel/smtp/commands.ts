import { isIP, isIPv6 } from 'node:net';
import { canonicalAddress, normalizeDomain } from '../../src/mail/address.ts';
import { type Envelope, type EnvelopeRecipient, NOTIFY_VALUES, type Notify } from '../../src/mail/envelope.ts';
import { type Reply, reply, type Status } from '../../src/mail/status.ts';

export type Refusal = { readonly kind: 'refused'; readonly reply: Reply };
export type MailCommand = Omit<Envelope, 'recipients'>;

/** What a listed MTA says of the client it speaks for. An attribute it does not know is absent. */
export type ForwardedClient = {
  readonly name?: string;
  readonly address?: string;
  readonly helo?: string;
  readonly protocol?: string;
};

type Parameters = ReadonlyMap<string, string | undefined>;

// A quoted local part may hold spaces, @ and > (RFC 5321 §4.1.2), and it does: Postfix quotes what is no dot-string.
const PATH = /^(?:MAIL\s+FROM|RCPT\s+TO)\s*:\s*<((?:"(?:[^"\\]|\\.)*"|[^"<>\s])*)>(?:\s+(.*))?$/is;
const SOURCE_ROUTE = /^@[^\s:"]+:/;
const LOCAL_PART = /^(?:"(?:[^"\\]|\\.)*"|[^"\s@\\()<>,;:[\]]+)$/s;
// Wider than the RFC (underscores, hyphens at the ends): what another MTA has taken is not for us to bounce.
const DOMAIN = /^[A-Za-z0-9_\u0080-\uffff-]+(?:\.[A-Za-z0-9_\u0080-\uffff-]+)*$/;
// Octets that were no UTF-8 arrive as U+FFFD: relaying the address would send the mail to somebody else.
const UNSAFE = /\p{Cc}|[\u200b\u2060\ufeff\ufffd]/u;
/** RFC 5321 §4.5.3.1.3 wants 256; rewritten senders (SRS, BATV, VERP) exceed it. */
const MAX_PATH_LENGTH = 512;

/** Reads `MAIL FROM:<path> parameters` (RFC 5321 §4.1.1.2, 1870, 3461, 6152, 6531); what we do not announce is 555. */
export function parseMail(line: string, maxSizeBytes: number): ({ readonly kind: 'mail' } & MailCommand) | Refusal {
  const command = splitCommand(line);
  const path = command === undefined ? undefined : readPath(command.path);
  if (command === undefined || (path === undefined && command.path !== '')) return badPath('5.1.7', 'sender');
  const parameters = readParameters(command.parameters, MAIL_PARAMETERS);
  if (isRefusal(parameters)) return parameters;

  const size = parameters.get('SIZE');
  if (size !== undefined && Number(size) > maxSizeBytes) return refused(tooBig(maxSizeBytes));
  const envid = decodeXtext(parameters.get('ENVID') ?? '');
  if (envid === undefined) return badValue('ENVID');
  const ret = parameters.get('RET')?.toUpperCase();
  return {
    kind: 'mail',
    reversePath: path === undefined ? '' : canonicalAddress(path),
    smtpUtf8: parameters.has('SMTPUTF8'),
    body: parameters.get('BODY')?.toUpperCase() === '8BITMIME' ? '8BITMIME' : '7BIT',
    ...(parameters.has('ENVID') ? { envid } : {}),
    ...(ret === 'FULL' || ret === 'HDRS' ? { ret } : {}),
  };
}

/**
 * Reads `RCPT TO:<path> parameters` (RFC 5321 §4.1.1.3, 3461).
 * @param hostname what `postmaster` without a domain is a mailbox of
 */
export function parseRcpt(
  line: string,
  hostname: string,
): { readonly kind: 'rcpt'; readonly recipient: EnvelopeRecipient } | Refusal {
  const command = splitCommand(line);
  const isPostmaster = command?.path.toLowerCase() === 'postmaster';
  const path = command === undefined || isPostmaster ? command?.path : readPath(command.path);
  if (command === undefined || path === undefined) return badPath('5.1.3', 'recipient');
  const parameters = readParameters(command.parameters, RCPT_PARAMETERS);
  if (isRefusal(parameters)) return parameters;

  const orcpt = decodeXtext(parameters.get('ORCPT') ?? '');
  if (orcpt === undefined) return badValue('ORCPT');
  const notify = parameters.get('NOTIFY')?.toUpperCase().split(',').filter(isNotify);
  const recipient = {
    address: isPostmaster ? `${path}@${hostname}` : canonicalAddress(path),
    received: path,
    ...(parameters.has('ORCPT') ? { orcpt } : {}),
    ...(notify === undefined ? {} : { notify }),
  };
  return { kind: 'rcpt', recipient };
}

/** Reads `XFORWARD NAME=… ADDR=…` (Postfix' XFORWARD_README); undefined when it cannot be taken. */
export function parseForwarded(line: string): ForwardedClient | undefined {
  const attributes: { name?: string; address?: string; helo?: string; protocol?: string } = {};
  const words = line.trim().split(/\s+/).slice(1);
  if (words.length === 0) return undefined;
  for (const word of words) {
    const match = /^(NAME|ADDR|PORT|PROTO|HELO|IDENT|SOURCE)=([^=]*)$/i.exec(word);
    const value = decodeXtext(match?.[2] ?? '');
    if (match === null || value === undefined || value.length > 255) return undefined;
    if (value === '' || /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i.test(value)) continue;
    const key = match[1]?.toUpperCase();
    if (key === 'NAME') attributes.name = value;
    else if (key === 'HELO') attributes.helo = value;
    else if (key === 'PROTO') attributes.protocol = value.toUpperCase();
    else if (key === 'ADDR') {
      const address = value.replace(/^IPv6:/i, '');
      if (isIP(address) === 0) return undefined;
      attributes.address = address;
    }
  }
  return attributes;
}

export function tooBig(maxSizeBytes: number): Reply {
  return reply('5.3.4', `message is larger than ${maxSizeBytes} octets, the most we take`);
}

function splitCommand(line: string): { path: string; parameters: string } | undefined {
  const match = PATH.exec(line);
  if (match?.[1] === undefined) return undefined;
  return { path: match[1].replace(SOURCE_ROUTE, ''), parameters: match[2] ?? '' };
}

/** The path itself when it is a mailbox. */
function readPath(path: string): string | undefined {
  const at = path.lastIndexOf('@');
  const domain = path.slice(at + 1);
  const mailbox = at > 0 && path.length <= MAX_PATH_LENGTH && LOCAL_PART.test(path.slice(0, at)) && isDomain(domain);
  return mailbox && !UNSAFE.test(path) ? path : undefined;
}

function isDomain(domain: string): boolean {
  const literal = /^\[(?:(IPv6:)?([^\]]+))\]$/i.exec(domain);
  if (literal !== null) {
    const address = literal[2] ?? '';
    return literal[1] === undefined ? isIP(address) === 4 : isIPv6(address);
  }
  return DOMAIN.test(domain) && normalizeDomain(domain) !== '';
}

/** Parameters by upper-case name with the form each value must have; `undefined`: no value. */
type Forms = Readonly<Record<string, RegExp | undefined>>;
const MAIL_PARAMETERS: Forms = {
  BODY: /^(?:7BIT|8BITMIME)$/i,
  ENVID: /^[\x21-\x7e]{1,100}$/,
  RET: /^(?:FULL|HDRS)$/i,
  SIZE: /^\d{1,20}$/,
  SMTPUTF8: undefined,
};
const RCPT_PARAMETERS: Forms = {
  NOTIFY: /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*)$/i,
  ORCPT: /^[A-Za-z0-9-]+;[^\s]{1,500}$/,
};

function readParameters(text: string, forms: Forms): Parameters | Refusal {
  const parameters = new Map<string, string | undefined>();
  if (text === '') return parameters;
  for (const word of text.split(/\s+/)) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const name = (equals < 0 ? word : word.slice(0, equals)).toUpperCase();
    const value = equals < 0 ? undefined : word.slice(equals + 1);
    if (!Object.hasOwn(forms, name)) return refused(reply('5.5.4', `parameter ${name.slice(0, 40)} is not known here`));
    const form = forms[name];
    const fits = form === undefined ? value === undefined : value !== undefined && form.test(value);
    if (!fits || parameters.has(name)) return badValue(name);
    parameters.set(name, value);
  }
  return parameters;
}

/** Undoes xtext (RFC 3461 §4); undefined when it is none, or hides a control character or octets that are no UTF-8. */
function decodeXtext(text: string): string | undefined {
  if (!text.includes('+')) return UNSAFE.test(text) ? undefined : text;
  if (/\+(?![0-9A-Fa-f]{2})/.test(text)) return undefined;
  const octets = Buffer.concat(
    text.split('+').map((piece, index) => {
      if (index === 0) return Buffer.from(piece);
      return Buffer.concat([Buffer.from(piece.slice(0, 2), 'hex'), Buffer.from(piece.slice(2))]);
    }),
  );
  const decoded = octets.toString('utf8');
  return UNSAFE.test(decoded) ? undefined : decoded;
}

function isNotify(value: string): value is Notify {
  return (NOTIFY_VALUES as readonly string[]).includes(value);
}

function isRefusal(value: Parameters | Refusal): value is Refusal {
  return 'kind' in value;
}

function refused(answer: Reply): Refusal {
  return { kind: 'refused', reply: answer };
}

// RFC 5321 §4.2.2 keeps 501 for a bad argument; 555, the usual code of 5.5.4, for a parameter that is not known at all.
function badValue(name: string): Refusal {
  return refused({ code: 501, status: '5.5.4', text: `bad value of parameter ${name}` });
}

function badPath(status: Status, whose: string): Refusal {
  return refused({ code: 501, status, text: `bad ${whose} address, need <local-part@domain>` });
}
