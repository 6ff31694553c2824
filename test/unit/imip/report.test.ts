import PostalMime from 'postal-mime';
import { describe, expect, test } from 'vitest';
import type { EventFacts } from '../../../src/imip/event-facts.ts';
import { failureReason } from '../../../src/imip/failure-reasons.ts';
import { LANGUAGES } from '../../../src/imip/mail.ts';
import { composeFailureReport } from '../../../src/imip/report.ts';
import { wordsFor } from '../../../src/imip/words/words.ts';

const FACTS: EventFacts = {
  method: 'REQUEST',
  component: 'VEVENT',
  uid: 'budget-1@example.com',
  title: 'Budget <2027>',
  start: { local: '2026-11-24T10:00:00', allDay: false, zone: 'Europe/Berlin', atMs: Date.UTC(2026, 10, 24, 9) },
  thisAndFuture: false,
  organizer: { name: 'Ann', address: 'ann@example.com' },
  attendees: [{ name: 'Bob', address: 'bob@example.org' }],
};
const SAID = '550 5.1.1 <bob@example.org>: $& no such user';

function report(language: string): Buffer {
  const words = wordsFor([FACTS], {
    kind: 'failure',
    language,
    recipient: { name: 'Ann', address: 'ann@example.com' },
    failure: {
      attendee: { name: 'Bob', address: 'bob@example.org' },
      reason: failureReason('5.1.1', SAID, language),
    },
  });
  return composeFailureReport({
    gateway: { name: 'Example calendar', address: 'calendar@example.com' },
    words,
    to: { name: 'Ann', address: 'ann@example.com' },
    queueId: '261121ABC',
    hostname: 'gateway.example.com',
    about: '261120XYZ.1@gateway.example.com',
    now: Date.UTC(2026, 10, 21, 17),
  });
}

test('a failure is told from the gateway itself, as an answer to the mail that did not arrive', async () => {
  const mail = await PostalMime.parse(report('en'));
  expect(mail).toMatchObject({
    from: { name: 'Example calendar', address: 'calendar@example.com' },
    to: [{ name: 'Ann', address: 'ann@example.com' }],
    messageId: '<261121ABC@gateway.example.com>',
    inReplyTo: '<261120XYZ.1@gateway.example.com>',
    attachments: [],
  });
  expect(mail.headers.find(({ key }) => key === 'auto-submitted')?.value).toBe('auto-replied');
});

describe.each(LANGUAGES)('in %s', (language) => {
  test('text and HTML name attendee, event and reason, and the words of the server', async () => {
    const { text = '', html = '', headers } = await PostalMime.parse(report(language));
    const reason = failureReason('5.1.1', SAID, language).replace(/\s+/g, ' ');
    for (const expected of ['bob@example.org', 'Budget <2027>', reason])
      expect(text.replace(/\s+/g, ' ')).toContain(expected);
    expect(html).toContain('Budget &#60;2027&#62;');
    expect(html).not.toContain('<bob@example.org>');
    expect(headers.find(({ key }) => key === 'content-language')?.value).toBe(language);
  });

  test('every cause has words of its own', () => {
    const statuses = ['5.1.1', '5.2.2', '5.2.1', '5.3.4', '4.4.7', '5.7.1', '5.0.0'];
    expect(new Set(statuses.map((status) => failureReason(status, '', language))).size).toBe(statuses.length);
  });
});

test('a status says what its class and subject mean', () => {
  expect(
    ['5.1.10', '4.2.2', '5.2.3', '4.4.1', '5.4.4', '5.6.0'].map((status) => failureReason(status, '', 'en')),
  ).toEqual([
    'There is no such address.',
    'The mailbox is full.',
    'The message was too large.',
    'The mail server could not be reached, or did not take the message in time.',
    'The mail server could not be reached, or did not take the message in time.',
    'The mail server did not deliver the message.',
  ]);
});

test('a language without words of its own gets the English ones', () => {
  expect(failureReason('5.1.1', '', 'nl')).toBe('There is no such address.');
  expect(failureReason('5.1.1', '', 'constructor')).toBe('There is no such address.');
});
