import { describe, expect, test } from 'vitest';
import { acceptedLanguages } from '../../../src/mail/language-tag.ts';

describe('the languages somebody reads', () => {
  test.each([
    ['de', ['de']],
    ['de-DE', ['de-DE']],
    ['es_ES', ['es-ES']],
    [' JA ', ['ja']],
    ['de_AT.UTF-8@euro', ['de-AT']],
    ['zh-hant-tw', ['zh-Hant-TW']],
    ['ja-JP-u-ca-japanese', ['ja-JP']],
    ['fr;q=1, en', ['fr', 'en']],
    ['en;q=0.5, fr; q=0.8, de', ['de', 'fr', 'en']],
    ['de, en, de', ['de', 'en']],
    ['de;q=0, en', ['en']],
    ['de;q=x, en', ['de', 'en']],
  ])('%j are %j', (value, expected) => {
    expect(acceptedLanguages(value)).toEqual(expected);
  });

  test.each(['', '*', 'german language', 'de;q=0', ',,;', '-', 'd', '日本語', '\0'])('%j names none', (value) => {
    expect(acceptedLanguages(value)).toEqual([]);
  });

  test('of a value without end only the beginning is read', () => {
    expect(acceptedLanguages('de, '.repeat(1_000_000))).toEqual(['de']);
    expect(acceptedLanguages(`${'x'.repeat(1_000_000)}, de`)).toEqual([]);
  });
});
