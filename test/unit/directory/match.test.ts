import { describe, expect, test } from 'vitest';
import { catchAllQuestion, choose, chooseCatchAll, question } from '../../../src/directory/match.ts';
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
      domain: 'xn--bcher-kva.example',
      tiers: [{ spellings: ['Jörg@xn--bcher-kva.example', 'Jörg@bücher.example'] }],
    });
  });

  test('the mailbox too, when there is a sub-address', () => {
    expect(question('bob+work+x@example.com', '+')).toMatchObject({
      tiers: [
        { spellings: ['bob+work+x@example.com'] },
        { address: 'bob@example.com', spellings: ['bob@example.com'], detail: 'work+x' },
      ],
    });
    expect(question('bob-work@example.com', '+-')?.tiers[1]?.detail).toBe('work');
  });

  test('both in the domain its own is another name of, after the address itself', () => {
    const asked = question('bob+work@alias.example', '+', 'example.com');
    expect(asked?.tiers.map(({ address }) => address)).toEqual([
      'bob+work@alias.example',
      'bob+work@example.com',
      'bob@alias.example',
      'bob@example.com',
    ]);
    expect(catchAllQuestion(asked!).map(({ key }) => key)).toEqual(['@alias.example', '@example.com']);
  });

  test.for([
    ['bob+work@example.com', ''],
    ['+work@example.com', '+'],
    ['bob-work@example.com', '+'],
  ])('%s with the separators "%s" has no sub-address', ([address, separators]) => {
    expect(question(address!, separators!)?.tiers).toHaveLength(1);
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

  test('are, of a catch-all, only those that have the domain as an address', () => {
    const asked = catchAllQuestion(question('nobody@BÜCHER.example', '+')!);
    expect(asked[0]?.spellings).toEqual(['@xn--bcher-kva.example', '@bücher.example']);
    const rest = user('rest', 'rest@example.com', '@Bücher.example');
    expect(chooseCatchAll(asked, [user('a', 'a@example.com'), rest])).toEqual([
      expect.objectContaining({ dn: 'uid=rest', catchAll: true, matchedBy: 'mailAlternateAddress=@Bücher.example' }),
    ]);
    expect(rest.entry.addresses).toEqual(['rest@example.com']);
  });
});
