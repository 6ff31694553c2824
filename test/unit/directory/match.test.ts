import { describe, expect, test } from 'vitest';
import { choose, question } from '../../../src/directory/match.ts';
import { PRESETS } from '../../../src/directory/presets.ts';
import { entryReader, type MappedEntry } from '../../../src/directory/schema.ts';

const read = entryReader(PRESETS.sun);

function user(uid: string, ...addresses: readonly string[]): MappedEntry {
  const mapped = read({
    dn: `uid=${uid}`,
    attributes: new Map([
      ['objectclass', ['inetMailUser']],
      ['mail', addresses.slice(0, 1)],
      ['mailalternateaddress', addresses.slice(1)],
    ]),
  });
  return mapped!;
}

function chosen(address: string, separators: string, ...candidates: readonly MappedEntry[]) {
  return choose(question(address, separators)!, candidates).map(({ dn, matchedBy, detail }) => ({
    dn,
    matchedBy,
    detail,
  }));
}

describe('what is asked for an address', () => {
  test('its domain in both forms, its local part as it is', () => {
    expect(question('Jörg@BÜCHER.example', '+')).toMatchObject({
      address: 'Jörg@xn--bcher-kva.example',
      spellings: ['Jörg@xn--bcher-kva.example', 'Jörg@bücher.example'],
    });
  });

  test('the mailbox too, when there is a sub-address', () => {
    expect(question('bob+work+x@example.com', '+')).toMatchObject({
      spellings: ['bob+work+x@example.com'],
      base: { address: 'bob@example.com', spellings: ['bob@example.com'], detail: 'work+x' },
    });
    expect(question('bob-work@example.com', '+-')?.base?.detail).toBe('work');
  });

  test.for([
    ['bob+work@example.com', ''],
    ['+work@example.com', '+'],
    ['bob-work@example.com', '+'],
  ])('%s with the separators "%s" has no sub-address', ([address, separators]) => {
    expect(question(address!, separators!)?.base).toBeUndefined();
  });

  test.for([
    '',
    'bob',
    '@example.com',
    'bob@',
    'b\r\nob@example.com',
    'b\0b@example.com',
    `${'b'.repeat(5000)}@example.com`,
  ])('nothing for %j', (address) => {
    expect(question(address, '+')).toBeUndefined();
  });
});

describe('the entries chosen', () => {
  test('are those with the very address, whoever has the mailbox', () => {
    const both = [user('bob', 'bob@example.com'), user('robot', 'robot@example.com', 'Bob+Work@EXAMPLE.com')];
    expect(chosen('bob+work@example.com', '+', ...both)).toEqual([
      { dn: 'uid=robot', matchedBy: 'mailAlternateAddress=Bob+Work@EXAMPLE.com', detail: undefined },
    ]);
  });

  test('else those of the mailbox, with the detail', () => {
    expect(chosen('bob+work@example.com', '+', user('bob', 'bob@example.com'))).toEqual([
      { dn: 'uid=bob', matchedBy: 'mail=bob@example.com', detail: 'work' },
    ]);
  });

  test('are all that share an address', () => {
    const both = [user('a', 'a@example.com', 'x@example.com'), user('b', 'b@example.com', 'x@example.com')];
    expect(chosen('x@example.com', '+', ...both).map(({ dn }) => dn)).toEqual(['uid=a', 'uid=b']);
  });

  test('match a domain in U-label form by its A-label', () => {
    expect(chosen('a@xn--bcher-kva.example', '+', user('a', 'a@bücher.example'))).toEqual([
      { dn: 'uid=a', matchedBy: 'mail=a@bücher.example', detail: undefined },
    ]);
  });

  test('are what the server found by a rule wider than ours', () => {
    expect(chosen('a  b@example.com', '+', user('a', 'a b@example.com'))).toEqual([
      { dn: 'uid=a', matchedBy: "the directory's own matching of a  b@example.com", detail: undefined },
    ]);
  });
});
