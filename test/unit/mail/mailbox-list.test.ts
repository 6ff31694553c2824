import { expect, test } from 'vitest';
import { soleMailbox } from '../../../src/mail/mailbox-list.ts';

test.each([
  ['olga@Example.ORG', 'olga@example.org'],
  ['Olga <olga@example.org>', 'olga@example.org'],
  ['<olga@example.org>', 'olga@example.org'],
  ['"Olsen, Olga: \\"the <boss>\\"" <olga@example.org>', 'olga@example.org'],
  ['=?utf-8?Q?Olga=2C_=C3=98?= <olga@example.org>', 'olga@example.org'],
  ['Ølga 😀 <olga@example.org>', 'olga@example.org'],
  ['olga@example.org (Olga, <not@example.net> (of sales))', 'olga@example.org'],
  ['Olga (\\) her) <olga@example.org>', 'olga@example.org'],
  ['"o olsen"@example.org', '"o olsen"@example.org'],
  ['Olga < olga@example.org >', 'olga@example.org'],
])('%s has one mailbox', (value, mailbox) => {
  expect(soleMailbox(value)).toBe(mailbox);
});

test.each([
  ['', 'nobody'],
  ['Olga', 'a name alone'],
  ['olga@example.org, eve@example.net', 'two'],
  ['Olga <olga@example.org>, Eve <eve@example.net>', 'two with names'],
  ['staff: olga@example.org;', 'a group'],
  ['Olga <olga@example.org> <eve@example.net>', 'two in one'],
  ['olga@example.org <eve@example.net> and more', 'text behind it'],
  ['<@relay.example.net:olga@example.org>', 'a route'],
  ['Olga <olga@example.org', 'an open bracket'],
  ['Olga> <olga@example.org', 'brackets the wrong way'],
  ['"Olga <olga@example.org>', 'an open quote'],
  ['Olga (her <olga@example.org>', 'an open comment'],
  ['olga@example.org eve@example.net', 'two without a comma'],
  ['olga@eve@example.net', 'two at signs'],
  [`${'x'.repeat(2000)} <olga@example.org>`, 'too long'],
])('%s has none that can be relied on: %s', (value) => {
  expect(soleMailbox(value)).toBeUndefined();
});
