import { describe, expect, test } from 'vitest';
import { cleanName, identify, type Speaking } from '../../../rules/identity.ts';

const GATEWAY = { name: 'Example calendar', address: 'calendar@example.com' };

function speaking(fields: Partial<Speaking>): Speaking {
  return {
    speaker: { name: 'Ann Adams', address: 'ann@example.com' },
    gateway: GATEWAY,
    fromDomains: new Set(['example.com']),
    ...fields,
  };
}

describe('a user of a domain that we may speak for', () => {
  test('is in From himself, and needs no Sender', () => {
    expect(identify(speaking({}))).toEqual({ from: { name: 'Ann Adams', address: 'ann@example.com' } });
  });

  test('has the delegate who acts for him as Sender', () => {
    expect(identify(speaking({ sentBy: 'pat@example.com' }))).toEqual({
      from: { name: 'Ann Adams', address: 'ann@example.com' },
      sender: { address: 'pat@example.com' },
    });
  });

  test('is not his own delegate', () => {
    expect(identify(speaking({ sentBy: 'Ann@Example.com' }))).toEqual({
      from: { name: 'Ann Adams', address: 'ann@example.com' },
    });
  });

  test('has the gateway as Sender in the place of a delegate of another domain', () => {
    expect(identify(speaking({ sentBy: 'pat@agency.test' }))).toEqual({
      from: { name: 'Ann Adams', address: 'ann@example.com' },
      sender: GATEWAY,
    });
  });
});

describe('a user of another domain', () => {
  const other = (name?: string) =>
    identify(speaking({ speaker: { ...(name === undefined ? {} : { name }), address: 'olga@example.org' } }));

  test('speaks by the gateway, and gets the answers', () => {
    expect(other('Olga Orlov')).toEqual({
      from: { name: 'Olga Orlov via Example calendar', address: 'calendar@example.com' },
      replyTo: { name: 'Olga Orlov', address: 'olga@example.org' },
    });
  });

  test('without a name is called by the local part of his address', () => {
    expect(other()).toEqual({
      from: { name: 'olga via Example calendar', address: 'calendar@example.com' },
      replyTo: { address: 'olga@example.org' },
    });
  });

  test('whose name is an address is called by the local part of his own', () => {
    expect(other('ceo@example.com')).toEqual({
      from: { name: 'olga via Example calendar', address: 'calendar@example.com' },
      replyTo: { address: 'olga@example.org' },
    });
  });

  test('of a subdomain that is not named is of another domain', () => {
    expect(identify(speaking({ speaker: { address: 'ann@mail.example.com' } })).from.address).toBe(
      'calendar@example.com',
    );
  });

  test('speaks by a gateway without a name under his own', () => {
    expect(
      identify(
        speaking({
          speaker: { name: 'Olga', address: 'olga@example.org' },
          gateway: { address: 'calendar@example.com' },
        }),
      ).from,
    ).toEqual({ name: 'Olga', address: 'calendar@example.com' });
  });
});

describe('a display name', () => {
  test.each<readonly [what: string, written: string, shown: string | undefined]>([
    ['in one line', 'Ann\r\nBcc: eve@', 'Ann Bcc: eve@'],
    ['without marks that turn text around', '\u202eAnn\u202c \u2066Adams\u2069\u200f', 'Ann Adams'],
    ['without invisible characters', 'An\u200bn\ufeff \u00adAdams', 'Ann Adams'],
    ['with what holds a word together', 'می\u200cخواهم', 'می\u200cخواهم'],
    ['with an @ that stands alone', 'Ann @ Work', 'Ann @ Work'],
    ['with quotes', 'Ann "the boss" Adams', 'Ann "the boss" Adams'],
    ['not when it is an address', 'ann@example.com', undefined],
    ['not when it holds an address', 'Ann <ceo@example.com>', undefined],
    ['not when it holds a full-width address', 'ceo＠example.com', undefined],
    ['not when it holds an address with blanks in it', 'ceo @ example.com', undefined],
    ['not when an invisible character breaks the address', 'ceo\u200b@\u2060example.com', undefined],
    ['not when it is empty', ' \u200e\t ', undefined],
    ['cut', 'x'.repeat(5000), `${'x'.repeat(79)}…`],
    ['cut between characters', '😀'.repeat(100), `${'😀'.repeat(79)}…`],
    ['without half characters', 'Ann \ud83d', 'Ann \ufffd'],
  ])('is shown %s', (_, written, shown) => {
    expect(cleanName(written)).toBe(shown);
  });
});
