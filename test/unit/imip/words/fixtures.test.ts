import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { composeCalendarMail } from '../../../../src/imip/compose.ts';
import { OWN_STRINGS } from '../../../../src/imip/words/language.ts';
import { wordsFor } from '../../../../src/imip/words/words.ts';
import { attachedObject, openMail } from '../../../integration/open-mail.ts';
import { OBJECTS, SAMPLES } from './samples.ts';

// IMIPD_WRITE_FIXTURES=1 writes them anew; read every difference before committing it.
const FOLDER = join(import.meta.dirname, '..', 'fixtures');
const WRITES = process.env.IMIPD_WRITE_FIXTURES === '1';

describe.each([...OWN_STRINGS.keys()])('words in %s', (language) => {
  test.each(Object.keys(SAMPLES))('the mail of %s is the one that was read and found right', (name) => {
    const sample = SAMPLES[name]!;
    const words = wordsFor(sample.events, { language, ...sample.context });
    const text = `Subject: ${words.subject}\n\n${words.text}`;
    const folder = join(FOLDER, language);
    if (WRITES) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${name}.txt`), text);
      writeFileSync(join(folder, `${name}.html`), words.html);
    }
    expect(text).toBe(readFileSync(join(folder, `${name}.txt`), 'utf8'));
    expect(words.html).toBe(readFileSync(join(folder, `${name}.html`), 'utf8'));
  });

  test.each(Object.keys(SAMPLES))('the whole mail of %s is that, with its object in two places', async (name) => {
    const { events, context } = SAMPLES[name]!;
    const { subject, ...words } = wordsFor(events, { language, ...context });
    // A failure is told without the invitation that failed.
    const calendar = context.kind === 'failure' ? undefined : OBJECTS.get(events)!;
    const bytes = composeCalendarMail({
      ...words,
      subject,
      language,
      from: { name: 'Ann Example', address: 'ann@example.com' },
      to: context.recipient,
      messageId: '<Q1.0@gateway.example.com>',
      date: Date.UTC(2026, 10, 21, 8),
      ...(calendar === undefined ? {} : { calendar }),
    });
    const mail = await openMail(bytes);
    // In base64 the lines end as in mail.
    const lines = (text = ''): string => text.replaceAll('\r\n', '\n');
    const read = (extension: string): string => readFileSync(join(FOLDER, language, `${name}.${extension}`), 'utf8');
    expect(`Subject: ${mail.subject}\n\n${lines(mail.text)}`).toBe(read('txt'));
    expect(lines(mail.html)).toBe(read('html'));
    expect(mail.field('content-language')).toBe(language);
    expect(mail.parts.map(({ type, method }) => [type, method])).toEqual(
      calendar === undefined
        ? []
        : [
            ['text/calendar', calendar.method],
            ['application/ics', undefined],
          ],
    );
    if (calendar !== undefined) expect(attachedObject(mail)).toEqual(calendar.content);
    const longest = Math.max(
      ...bytes
        .toString('latin1')
        .split('\r\n')
        .map((line) => line.length),
    );
    expect(longest).toBeLessThanOrEqual(78);
  });

  test('there is no fixture without a sample', () => {
    const names = readdirSync(join(FOLDER, language)).map((file) => file.replace(/\.(?:txt|html)$/, ''));
    expect(new Set(names)).toEqual(new Set(Object.keys(SAMPLES)));
  });
});
