import { X509Certificate } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import { loadSigningKey, MIN_SIGNING_BITS } from '../../channel/ischedule/dkim/key-pair.ts';
import { parseKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import { canonicalAddress, domainOf, normalizeDomain } from '../mail/address.ts';
import { hasControl } from '../mail/control.ts';
import { parseNetworks } from '../mail/network.ts';
import { verpProblem } from '../mail/verp.ts';
import { type Field, type Reading, value } from './field.ts';
import { alternatives, shown } from './problem.ts';
import { fileErrorText, resolveSecret, Secret, type SecretSources } from './secrets.ts';

type About = { readonly doc: string; readonly default?: string };
type Limits = { readonly min: string; readonly max: string; readonly example?: string };

/** What reading options needs of the machine; `load.ts` provides it. */
export type Site = SecretSources & {
  readonly hostname: string;
  /** Makes a path absolute; relative ones start at the folder of the configuration file. */
  readonly absolute: (path: string) => string;
};

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A span of time in ms: a number with `ms`, `s`, `m`, `h` or `d`. A bare `0` is taken where zero is allowed. */
export function duration(about: About & Limits): Field<number, 'Ms', false> {
  return measured(about, 'Ms', 'a time', UNIT_MS);
}

/** A number of octets: `B`, `KB`, `MB`, `GB` are powers of 1000, `KiB`, `MiB`, `GiB` of 1024. */
export function size(about: About & Limits): Field<number, 'Bytes', false> {
  return measured(about, 'Bytes', 'a size', UNIT_BYTES);
}

function measured<S extends 'Ms' | 'Bytes'>(
  about: About & Limits,
  suffix: S,
  what: string,
  units: Readonly<Record<string, number>>,
): Field<number, S, false> {
  const low = amount(about.min, units) ?? 0;
  const high = amount(about.max, units) ?? 0;
  return value({
    ...about,
    suffix,
    form: `${what} with a unit from ${about.min} to ${about.max}, such as ${about.default ?? about.example ?? about.min}`,
    read: (given): Reading<number> => {
      const found = amount(given, units);
      return found !== undefined && found >= low && found <= high ? { ok: true, value: found } : { ok: false };
    },
  });
}

function amount(given: unknown, units: Readonly<Record<string, number>>): number | undefined {
  if (given === 0 || given === '0') return 0;
  const match = typeof given === 'string' ? /^(\d{1,12}(?:\.\d{1,6})?) ?([a-zA-Z]{1,3})$/.exec(given.trim()) : null;
  const unit = match?.[2] !== undefined && Object.hasOwn(units, match[2]) ? units[match[2]] : undefined;
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit);
}

/** A whole number. */
export function count(about: {
  readonly doc: string;
  readonly default?: number;
  readonly min: number;
  readonly max: number;
}): Field<number, '', false> {
  return value({
    ...about,
    suffix: '',
    form: `a whole number from ${about.min} to ${about.max}`,
    read: (given): Reading<number> => {
      const ok = typeof given === 'number' && Number.isInteger(given) && given >= about.min && given <= about.max;
      return ok ? { ok, value: given } : { ok };
    },
  });
}

export function flag(about: { readonly doc: string; readonly default?: boolean }): Field<boolean, '', false> {
  return value({
    ...about,
    suffix: '',
    form: 'true or false',
    read: (given): Reading<boolean> => (typeof given === 'boolean' ? { ok: true, value: given } : { ok: false }),
  });
}

/** One of a few words. */
export function choice<const T extends string>(
  words: readonly T[],
  about: { readonly doc: string; readonly default?: NoInfer<T> },
): Field<T, '', false> {
  return value({
    ...about,
    suffix: '',
    form: alternatives(words),
    read: (given): Reading<T> => {
      const word = words.find((candidate) => candidate === given);
      return word === undefined ? { ok: false } : { ok: true, value: word };
    },
  });
}

/** Text on one line. `form` says what it looks like, `pattern` checks it. */
export function text(
  about: About & {
    readonly form: string;
    readonly pattern?: { test(given: string): boolean };
    /** Makes of it what things are compared in. */
    readonly normalize?: (given: string) => string;
    readonly defaultText?: string;
  },
): Field<string, '', false> {
  return words(about, (given) =>
    about.pattern === undefined || about.pattern.test(given)
      ? { ok: true, value: about.normalize?.(given) ?? given }
      : { ok: false },
  );
}

/**
 * A mail domain, in the normal form that everything is compared in.
 * @param about.whyNoAddress added to the error for a whole address
 */
export function domain(about: About & { readonly whyNoAddress?: string }): Field<string, '', false> {
  const form = 'a mail domain, such as example.com';
  return words({ ...about, form }, (given) => {
    if (given.includes('@')) {
      return { ok: false, why: `got the address ${shown(given)}, need ${form}${about.whyNoAddress ?? ''}` };
    }
    const found = readDomain(given);
    return found === undefined ? { ok: false } : { ok: true, value: found };
  });
}

/** Whom a rule is about: a mail domain, `*.` before one for all below it, or `*` for all. */
export function domainPattern(about: About): Field<string, '', false> {
  const form = 'a mail domain, *. before one for its subdomains, or * for all';
  return words({ ...about, form }, (given) => {
    if (given === '*') return { ok: true, value: given };
    const found = readDomain(given.replace(/^\*\./, ''));
    if (found === undefined) return { ok: false };
    return { ok: true, value: given.startsWith('*.') ? `*.${found}` : found };
  });
}

/** A day. @returns it as it was written, `2040-12-31` */
export function date(about: About): Field<string, '', false> {
  return words({ ...about, form: 'a date, such as 2040-12-31' }, (given) => {
    const at = /^\d{4}-\d{2}-\d{2}$/.test(given) ? new Date(`${given}T00:00:00Z`) : undefined;
    // The 31st of a shorter month becomes a day of the next.
    const ok = at !== undefined && !Number.isNaN(at.getTime()) && at.toISOString().startsWith(given);
    return ok ? { ok, value: given } : { ok: false };
  });
}

export function readDomain(given: string): string | undefined {
  const normal = normalizeDomain(given);
  return /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(normal) ? normal : undefined;
}

/** The mailbox that VERP addresses are made of. @returns it with its domain normalised */
export function verpBase(about: About): Field<string, '', false> {
  return words({ ...about, form: 'a mail address, such as calendar@example.com' }, (given) => {
    if (readDomain(domainOf(given)) === undefined) return { ok: false };
    const why = verpProblem(given);
    return why === undefined ? { ok: true, value: canonicalAddress(given) } : { ok: false, why };
  });
}

export type HostPort = { readonly host: string; readonly port: number };

/**
 * Where something listens. IPv6 addresses stand in brackets, as in a URL.
 * @param about.anyPort whether port 0 is taken, for a listener that gets a free one
 */
export function hostPort(
  about: About & { readonly anyPort?: boolean; readonly hint?: string },
): Field<HostPort, '', false> {
  const lowest = about.anyPort === true ? 0 : 1;
  return words(
    { ...about, form: `host:port, such as ${about.default ?? '127.0.0.1:25'}${about.hint ?? ''}` },
    (given) => {
      const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/@]{1,253})):(\d{1,5})$/.exec(given);
      const host = match?.[1] ?? match?.[2];
      const port = Number(match?.[3]);
      if (host === undefined || port < lowest || port > 65_535 || (match?.[1] !== undefined && !isIPv6(host)))
        return { ok: false };
      return { ok: true, value: { host, port } };
    },
  );
}

/** An IP address, or a network with its prefix length. */
export function network(about: About): Field<string, '', false> {
  return words({ ...about, form: 'an IP address or a network, such as 192.0.2.7 or 192.0.2.0/24' }, (given) => {
    try {
      parseNetworks([given]);
      return { ok: true, value: given };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return { ok: false };
    }
  });
}

/** A URL with one of these schemes, kept as it was written. It must not hold a password: URLs are logged. */
export function url(schemes: readonly string[], about: About & { readonly bare?: boolean }): Field<string, '', false> {
  const host = about.bare === true ? 'ldap.example.com' : 'calendar.example.com/ischedule/';
  return words(
    {
      ...about,
      form: `a URL with ${alternatives(schemes.map((scheme) => `${scheme}://`))}, such as ${schemes.at(-1)}://${host}`,
    },
    (given) => {
      const found = URL.parse(given);
      if (
        found === null ||
        !schemes.includes(found.protocol.slice(0, -1)) ||
        found.hostname === '' ||
        found.hash !== ''
      )
        return { ok: false };
      if (found.username !== '' || found.password !== '')
        return { ok: false, why: 'got a URL with a user name or password in it, need one without: URLs are logged' };
      if (about.bare === true && (found.search !== '' || !/^\/?$/.test(found.pathname))) return { ok: false };
      return { ok: true, value: given };
    },
  );
}

/** A file or folder that need not exist. @returns its absolute path */
export function path(site: Site, about: About): Field<string, '', false> {
  return words({ ...about, form: 'a path' }, (given) => ({ ok: true, value: site.absolute(given) }));
}

/** A folder that is read now, by `read`. */
export function folder<T>(
  site: Site,
  about: About & { readonly form: string },
  read: (absolutePath: string) => Reading<T>,
): Field<T, '', false> {
  return words(about, (given) => read(site.absolute(given)));
}

/** A file that is read now. */
export function file<T>(
  site: Site,
  about: About & { readonly form: string },
  read: (content: string, absolutePath: string) => Reading<T>,
): Field<T, '', false> {
  return words(about, (given) => {
    const absolutePath = site.absolute(given);
    let content: string;
    try {
      content = site.readText(absolutePath);
    } catch (error) {
      return { ok: false, why: `cannot read ${absolutePath} (${fileErrorText(error)}), need ${about.form}` };
    }
    return read(content, absolutePath);
  });
}

/** Certificates in PEM. @returns the text of the file */
export function certificates(site: Site, about: About): Field<string, '', false> {
  const form = 'the path of a PEM file with certificates';
  return file(site, { ...about, form }, (content, absolutePath) => {
    try {
      new X509Certificate(content);
      return { ok: true, value: content };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return { ok: false, why: `${absolutePath} holds no certificate, need ${form}` };
    }
  });
}

/** A private key in PEM. Whether it fits its certificate is checked where both are known. */
export function privateKey(site: Site, about: About): Field<Secret, '', false> {
  const form = 'the path of a PEM file with a private key';
  return file(site, { ...about, form }, (content, absolutePath) =>
    /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/.test(content)
      ? { ok: true, value: new Secret(content) }
      : { ok: false, why: `${absolutePath} holds no private key, need ${form}` },
  );
}

/** A private key in PEM that posts can be signed with. @returns the text of the file */
export function signingKey(site: Site, about: About): Field<Secret, '', false> {
  const form = `the path of a PEM file with a private RSA key of ${MIN_SIGNING_BITS} bits or more`;
  return file(site, { ...about, form }, (content, absolutePath) => {
    try {
      loadSigningKey(content);
      return { ok: true, value: new Secret(content) };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return { ok: false, why: `${absolutePath}: ${error.message}` };
    }
  });
}

/** A public key as it is published for DKIM (RFC 6376 §3.6.1). @returns the record */
export function keyRecord(about: About): Field<string, '', false> {
  const form = 'a key record, such as "v=DKIM1; k=rsa; p=MIIB…"';
  return words({ ...about, form }, (given) => {
    const record = parseKeyRecord(given);
    switch (record.kind) {
      case 'key':
        return { ok: true, value: given };
      case 'revoked':
        return { ok: false, why: `got a record that takes its key back (p= is empty), need ${form}` };
      case 'unusable':
        return { ok: false, why: `${record.reason}; need ${form}` };
      case 'other':
        return { ok: false };
    }
  });
}

/** A DNS server by its IP address, with a port or not. @returns the address as Node writes it */
export function dnsServer(about: About): Field<string, '', false> {
  const form = 'an IP address, or address:port, such as 127.0.0.1:5353';
  return words({ ...about, form }, (given) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::(\d{1,5}))?$/.exec(given);
    const host = match?.[1] ?? match?.[2] ?? given;
    const port = Number(match?.[3] ?? 53);
    return isIP(host) !== 0 && port > 0 && port <= 65_535 ? { ok: true, value: given } : { ok: false };
  });
}

/** A password: the text, `file:/path` or `env:NAME`. */
export function secret(site: Site, about: { readonly doc: string }): Field<Secret, '', false> {
  const sources = { env: site.env, readText: (name: string) => site.readText(site.absolute(name)) };
  const read = (given: string): Reading<Secret> => resolveSecret(given, sources);
  return { ...words({ ...about, form: 'a secret: its text, file:/path or env:NAME', secret: true }, read) };
}

function words<T>(
  about: About & { readonly form: string; readonly secret?: boolean; readonly defaultText?: string },
  read: (given: string) => Reading<T>,
): Field<T, '', false> {
  return value({
    ...about,
    suffix: '',
    // A number is what YAML makes of a name or text of digits; as text it is what was meant.
    read: (given) => {
      const found = typeof given === 'number' ? String(given) : given;
      return typeof found === 'string' && found !== '' && !hasControl(found) ? read(found) : { ok: false };
    },
  });
}
