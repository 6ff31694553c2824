import type { KeyObject } from 'node:crypto';
import { MIN_SIGNING_BITS } from '../../channel/ischedule/dkim/key-pair.ts';
import { parseKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import type { Resolver } from '../net/resolver.ts';
import { exchange } from './connection.ts';
import { type Finding, note, ok, wrong } from './finding.ts';
import type { Answer } from './http-answer.ts';
import { keyName } from './key-records.ts';
import { requestHead } from './request.ts';
import { type CheckSettings, reachOrigin } from './service-check.ts';
import { silent } from './service-records.ts';

/** A selector of a domain; with `ours`, the public half of our own key that is to be published there. */
export type KeyQuestion = { readonly domain: string; readonly selector: string; readonly ours?: KeyObject };

const MAX_RECORD_BYTES = 64 * 1024;

/** What the DNS has of a key (draft-desruisseaux-ischedule-05 §7.3, `dns/txt`). */
export async function checkKey(
  question: KeyQuestion,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const name = keyName(question.domain, question.selector);
  const answer = await resolver.txt(name, signal);
  switch (answer.kind) {
    case 'no-answer':
      return [{ ...silent(name, answer.reason), area: 'keys' }];
    case 'none':
      return [missing(name, 'no TXT record', question)];
    case 'records':
      return judgeRecords(name, answer.records, question);
  }
}

function missing(name: string, found: string, question: KeyQuestion): Finding {
  const wanted = 'a key record: v=DKIM1; k=rsa; s=ischedule; p=…';
  const advice =
    question.ours === undefined
      ? 'ask whoever signs by this selector; without the key no signature of it is believed'
      : 'publish what `imipd keys dns` prints; until then no signature of ours is believed';
  return wrong('refused', 'keys', name, found, wanted, advice);
}

function judgeRecords(name: string, records: readonly string[], question: KeyQuestion): readonly Finding[] {
  const findings = records.flatMap((record) => judgeRecord(name, record, question));
  return findings.length > 0 ? findings : [missing(name, 'TXT records, none of them a key', question)];
}

function judgeRecord(name: string, record: string, { ours }: KeyQuestion): readonly Finding[] {
  const parsed = parseKeyRecord(record);
  switch (parsed.kind) {
    case 'other':
      return [];
    case 'revoked':
      return [
        wrong('refused', 'keys', name, 'a revoked key: p= is empty', 'a key', 'publish a new one, by another selector'),
      ];
    case 'unusable':
      return [
        wrong('refused', 'keys', name, parsed.reason, 'an RSA key record', 'publish what `imipd keys new` prints'),
      ];
    case 'key': {
      const { key, bits, services, hashes, testing } = parsed.key;
      const findings: Finding[] = [];
      const complain = (verdict: 'warning' | 'refused', found: string, wanted: string, advice: string): void => {
        findings.push(wrong(verdict, 'keys', name, found, wanted, advice));
      };
      if (ours !== undefined && !isSameKey(key, ours)) {
        complain(
          'refused',
          'another key than ours',
          'the public half of our key',
          'publish what `imipd keys dns` prints, or name the file of the published key in ischedule.keys',
        );
      }
      if (bits < MIN_SIGNING_BITS) {
        complain('warning', `${bits} bits`, `${MIN_SIGNING_BITS} bits or more`, 'make a new one: imipd keys new');
      }
      if (services !== undefined && !services.some((one) => one === '*' || one === 'ischedule')) {
        const isOld = services.includes('calendar');
        complain(
          isOld ? 'warning' : 'refused',
          `s=${services.join(':')}${isOld ? ', as -01 had it' : ''}`,
          's=ischedule, or no s= at all',
          'correct the record',
        );
      }
      if (hashes !== undefined && !hashes.includes('sha256')) {
        complain('refused', `h=${hashes.join(':')}`, 'h=sha256, or no h= at all', 'correct the record');
      }
      if (testing) complain('warning', 't=y: a test', 'no t=y', 'take it out once the test is over');
      const use = services === undefined ? 'for any service' : `s=${services.join(':')}`;
      const text = `RSA, ${bits} bits, ${use}${ours !== undefined && isSameKey(key, ours) ? ', ours' : ''}`;
      return findings.length === 0 ? [ok('keys', name, text)] : [note('keys', name, text), ...findings];
    }
  }
}

function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return one.equals(other);
}

/** Where a domain serves its keys by https (`http/well-known`), and whether they are there. */
export async function checkKeyServer(
  domain: string,
  questions: readonly KeyQuestion[],
  settings: CheckSettings,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const name = `_domainkey_lookup._tcp.${domain}`;
  const answer = await settings.resolver.srv(name, signal);
  if (answer.kind === 'no-answer') return [{ ...silent(name, answer.reason), area: 'keys' }];
  const records = answer.kind === 'records' ? answer.records.filter(({ target }) => target !== '.') : [];
  if (records.length === 0) return [note('keys', name, 'no SRV record: keys by the DNS alone')];
  const findings: Finding[] = [];
  for (const { target, port } of records) {
    findings.push(ok('keys', name, `SRV ${port} ${target}`));
    const origin = new URL(`https://${target}:${port}/`);
    const reached = await reachOrigin(origin, domain, settings, signal);
    findings.push(...reached.findings);
    if (reached.endpoint === undefined) continue;
    for (const question of questions) {
      const url = new URL(`/.well-known/domainkey/${domain}/${question.selector}`, origin);
      const request = { head: requestHead('GET', url, [['Accept', 'text/plain']]), body: Buffer.alloc(0) };
      const said = await exchange(reached.endpoint, request, { ...settings.dial, maxBytes: MAX_RECORD_BYTES });
      findings.push(...judgeServed(url, said, question));
    }
  }
  return findings;
}

function judgeServed(url: URL, answer: Answer, question: KeyQuestion): readonly Finding[] {
  if (answer.kind === 'nothing') return [missing(url.href, answer.reason, question)];
  if (answer.status !== 200) return [missing(url.href, String(answer.status), question)];
  const records = answer.body
    .toString('utf8')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  return judgeRecords(url.href, records, question);
}
