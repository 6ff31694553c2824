import { describe, expect, test } from 'vitest';
import { LANGUAGES } from '../../../../src/imip/mail.ts';
import { OWN_STRINGS } from '../../../../src/imip/words/language.ts';
import { wordsFor } from '../../../../src/imip/words/words.ts';
import { factsOf } from './samples.ts';

const BOB = { name: 'Bob', address: 'bob@example.org' };

function invitation(lines: string, language = 'en') {
  const events = factsOf('REQUEST', [`UID:1\nDTSTART:20261123T140000Z\nDTEND:20261123T150000Z\n${lines}`]);
  return wordsFor(events, { language, recipient: BOB, kind: 'invitation' });
}

/** All elements but those the layout is made of. */
function strangeElements(html: string): readonly string[] {
  const ours = new Set(
    'html head meta title style body table tr td th p h1 bdi div span a br del ins s'
      .split(' ')
      .flatMap((name) => [name, `/${name}`]),
  );
  return [...html.matchAll(/<([^\s>]*)/g)]
    .map((match) => match[1] ?? '')
    .filter((name) => !ours.has(name) && name !== '!DOCTYPE');
}

describe('nothing from the object becomes markup, a header or layout', () => {
  test('a CN with line ends and quotes is one line of text', () => {
    const { subject, text, html } = invitation(
      'SUMMARY:Budget\nORGANIZER;CN="Ann^nBcc: eve@example.net^n^\'Boss^\'":mailto:ann@example.com',
    );
    expect(subject).toBe('Invitation: Budget');
    expect(text.split('\n')[0]).toBe('Ann Bcc: eve@example.net "Boss" invites you to “Budget”.');
    expect(html).toContain('<bdi>Ann Bcc: eve@example.net &#34;Boss&#34;</bdi> invites you to');
  });

  test('line ends and controls in SUMMARY do not reach the subject', () => {
    const { subject } = invitation('SUMMARY:Budget\\nBcc: eve@example.net\\r\u0000\u0007\u0085end');
    expect(subject).toBe('Invitation: Budget Bcc: eve@example.netr end');
  });

  test('marks of direction are removed and right-to-left names isolated', () => {
    const { text, html } = invitation(
      'SUMMARY:Budget\u202egnp.exe\nORGANIZER;CN=\u202eשלום\u202c:mailto:ann@example.com',
    );
    expect(text.split('\n')[0]).toBe('\u2068שלום\u2069 invites you to “Budgetgnp.exe”.');
    expect(html).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
    expect(html).toContain('<bdi>שלום</bdi>');
  });

  test('markup in any text is shown as it was written', () => {
    const evil = '<script>alert(1)</script><img src=x onerror="a">';
    const { html, text } = invitation(
      [
        `SUMMARY:${evil}`,
        `LOCATION:${evil}`,
        `DESCRIPTION:${evil}`,
        `COMMENT:${evil}`,
        `ORGANIZER;CN='${evil.replaceAll('"', "^'")}':mailto:ann@example.com`,
        `ATTENDEE;CN="${evil.replaceAll('"', "^'")}":mailto:bob@example.org`,
        `DTSTAMP;TZID=${evil.replaceAll('"', '')}:20261123T140000`,
      ].join('\n'),
    );
    expect(strangeElements(html)).toEqual([]);
    expect(html).toContain('&#60;script&#62;alert(1)&#60;/script&#62;&#60;img src=x onerror=&#34;a&#34;&#62;');
    expect(text).toContain('Where: <script>alert(1)</script><img src=x onerror="a">');
  });

  test('a TZID that is markup is shown as text', () => {
    const events = factsOf('REQUEST', ['SUMMARY:Budget\nDTSTART;TZID="<b>here</b>":20261123T140000']);
    const { html, text } = wordsFor(events, { language: 'en', recipient: BOB, kind: 'invitation' });
    expect(text).toContain('When: Monday, November 23, 2026, 2:00 PM (<b>here</b>)');
    expect(html).toContain('(<bdi>&#60;b&#62;here&#60;/b&#62;</bdi>)');
  });

  test.each([
    'javascript:alert(1)',
    'http://example.com/',
    'data:text/html,x',
    'https://example.com@example.net/',
    `https://example.com/${'a'.repeat(600)}`,
    'not a url',
  ])('URL:%s is no link', (url) => {
    expect(invitation(`SUMMARY:x\nURL:${url}`).html).not.toContain('<a ');
  });

  test('an https URL is a link that cannot leave its attribute', () => {
    const { html } = invitation('SUMMARY:x\nURL:https://example.com/"onclick="a?b=1&c=<d>');
    expect(html).toContain(
      '<a class="tone" href="https://example.com/%22onclick=%22a?b=1&#38;c=%3Cd%3E" rel="noopener noreferrer nofollow"',
    );
  });

  test('a description of 100 KB is cut', () => {
    const { text, html } = invitation(`SUMMARY:x\nDESCRIPTION:${'word\\, & '.repeat(12_000)}`);
    expect(text).toContain('…');
    expect(text.length).toBeLessThan(5_000);
    expect(html.length).toBeLessThan(12_000);
  });

  test('of 1,000 attendees 20 are named and the others counted', () => {
    const attendees = Array.from({ length: 1000 }, (_, index) => `ATTENDEE:mailto:user${index}@example.org`);
    const { text } = invitation(`SUMMARY:x\n${attendees.join('\n')}`);
    expect(text).toContain('  - user19@example.org\n  - and 980 more\n');
    expect(text).not.toContain('user20@');
  });

  test('a line of the description cannot pass for one of ours', () => {
    const { text } = invitation('SUMMARY:x\nDESCRIPTION:a\\n-- \\nWhere: elsewhere');
    expect(text).toContain('Description:\n  a\n  --\n  Where: elsewhere\n');
  });
});

test.each([
  ['de-AT', 'de-AT', 'Einladung: x'],
  ['en;q=0.5, DE_at;q=0.9', 'de-AT', 'Einladung: x'],
  ['zz, fr;q=0.5', 'fr', 'Invitation : x'],
  ['pt-BR', 'es', 'Invitación: x'],
  ['', 'es', 'Invitación: x'],
  ['not a tag!', 'es', 'Invitación: x'],
])('a wish for %j is answered in %s', (language, chosen, subject) => {
  const events = factsOf('REQUEST', ['SUMMARY:x']);
  const words = wordsFor(events, { language, defaultLanguage: 'es', recipient: BOB, kind: 'invitation' });
  expect({ language: words.language, subject: words.subject }).toEqual({ language: chosen, subject });
});

test('an object without any fact still gives a mail in every language', () => {
  for (const language of OWN_STRINGS.keys()) {
    const { text, html } = wordsFor([], { language, recipient: BOB, kind: 'invitation' });
    expect(`${text}${html}`).not.toMatch(/undefined|\{[a-z]+\}/);
  }
});

test('the languages that can be configured are those with words', () => {
  expect([...OWN_STRINGS.keys()]).toEqual([...LANGUAGES]);
});

test('one changed date is not compared with the whole series', () => {
  const [previous] = factsOf('REQUEST', ['SUMMARY:x\nDTSTART:20261123T140000Z\nRRULE:FREQ=DAILY']);
  const events = factsOf('REQUEST', ['SUMMARY:x\nRECURRENCE-ID:20261124T140000Z\nDTSTART:20261124T150000Z']);
  const { text } = wordsFor(events, { language: 'en', recipient: BOB, kind: 'update', previous: previous! });
  expect(text).toBe(
    [
      'Somebody has changed “x”.',
      'This concerns one date of a series only: Tuesday, November 24, 2026, 2:00 PM.',
      '',
      'When: Tuesday, November 24, 2026, 3:00 PM (Coordinated Universal Time, UTC)',
      '',
      '-- ',
      'A calendar has sent this mail automatically.',
      '',
    ].join('\n'),
  );
});
