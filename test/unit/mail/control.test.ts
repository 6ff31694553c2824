import { expect, test } from 'vitest';
import { hasControl } from '../../../src/mail/control.ts';

test.each([
  ['', false],
  ['bob@example.com', false],
  ['Bürö ~ \u00a0', false],
  ['a\tb', true],
  ['a\r\n', true],
  ['\0', true],
  ['\x1f', true],
  ['a\x7f', true],
])('%j holds a control character: %s', (text, expected) => {
  expect(hasControl(text)).toBe(expected);
});
