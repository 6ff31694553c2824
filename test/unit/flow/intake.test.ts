import { expect, test } from 'vitest';
import { readAnswer } from '../../../src/flow/intake.ts';
import { scanHeader } from '../../../src/mail/header.ts';

const read = (...lines: readonly string[]) =>
  readAnswer(scanHeader(Buffer.from([...lines, '', ''].join('\r\n'))).fields);

test('an answer’s author, and what it answers with its parent first, are read', () => {
  expect(
    read(
      'From: Olga <olga@example.org>',
      'In-Reply-To: Your message <parent@example.com>',
      'References: <first@example.com>',
      ' <second@example.com> <parent@example.com>',
    ),
  ).toEqual({
    from: 'olga@example.org',
    references: ['parent@example.com', 'second@example.com', 'first@example.com'],
  });
});

test('without In-Reply-To the last of the references is the parent', () => {
  expect(read('References: <first@example.com> <second@example.com>')).toEqual({
    references: ['second@example.com', 'first@example.com'],
  });
});

test('two From fields name nobody, and a header may say nothing at all', () => {
  expect(read('From: olga@example.org', 'From: eve@example.net')).toEqual({});
  expect(read('Subject: Accepted')).toEqual({});
});

test('of many references the nearest twenty are kept, and none that is too long', () => {
  const ids = Array.from({ length: 3000 }, (_, i) => `${i}@example.com`);
  const { references = [] } = read(`References: ${ids.map((id) => `<${id}>`).join('\r\n ')}`);
  expect([references.length, references[0], references.at(-1)]).toEqual([20, '2999@example.com', '2980@example.com']);
  expect(read(`In-Reply-To: <${'x'.repeat(251)}> <${'é'.repeat(126)}> <${'x'.repeat(250)}>`)).toEqual({
    references: ['x'.repeat(250)],
  });
});
