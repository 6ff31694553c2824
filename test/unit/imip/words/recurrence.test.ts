import { describe, expect, test } from 'vitest';
import { chooseLanguage } from '../../../../src/imip/words/language.ts';
import { repeatsText } from '../../../../src/imip/words/repeats.ts';
import { timesOf } from '../../../../src/imip/words/times.ts';

/** Monday. */
const START = { local: '2026-11-23T14:00:00', allDay: false, zone: 'Europe/Berlin', atMs: Date.UTC(2026, 10, 23, 13) };

function said(rule: string, language = 'en', start: object = START): string | undefined {
  const choice = chooseLanguage([language]);
  return repeatsText({ rule, start: start as typeof START }, choice, timesOf(choice));
}

const UNUSUAL = 'On several dates; your calendar shows them all';

describe('a recurrence rule in words', () => {
  test.each([
    ['FREQ=DAILY', 'Every day'],
    ['FREQ=DAILY;INTERVAL=3;COUNT=5', 'Every 3 days, 5 times'],
    ['FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR', 'Every day from Monday to Friday'],
    ['FREQ=WEEKLY', 'Every week on Monday'],
    ['freq=weekly;byday=fr,mo;wkst=su', 'Every week on Monday and Friday'],
    ['FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR', 'Every 2 weeks on Monday, Wednesday, and Friday'],
    ['FREQ=MONTHLY', 'Every month on day 23'],
    ['FREQ=MONTHLY;BYMONTHDAY=15,-1', 'Every month on day 15 and the last day'],
    ['FREQ=MONTHLY;BYDAY=1MO', 'Every month on the first Monday'],
    ['FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO,3MO', 'Every 2 months on the first Monday and the third Monday'],
    ['FREQ=MONTHLY;BYDAY=-1FR', 'Every month on the last Friday'],
    ['FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2', 'Every month on the second Tuesday'],
    ['FREQ=YEARLY', 'Every year on November 23'],
    ['FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=29', 'Every year on March 29'],
    ['FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU', 'Every year on the last Sunday in March'],
    ['FREQ=YEARLY;INTERVAL=4', 'Every 4 years on November 23'],
  ])('%s', (rule, text) => {
    expect(said(rule)).toBe(text);
  });

  test.each([
    'FREQ=HOURLY',
    'FREQ=DAILY;BYHOUR=9,14',
    'FREQ=DAILY;INTERVAL=2;BYDAY=MO',
    'FREQ=WEEKLY;BYMONTH=3',
    'FREQ=MONTHLY;BYDAY=MO',
    'FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13',
    'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
    'FREQ=MONTHLY;BYDAY=-2FR',
    'FREQ=MONTHLY;BYMONTHDAY=-2',
    'FREQ=YEARLY;BYDAY=20MO',
    'FREQ=YEARLY;BYDAY=1MO',
    'FREQ=YEARLY;BYMONTHDAY=1',
    'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=YEARLY;BYWEEKNO=20',
    'FREQ=YEARLY;BYDAY=MO;BYSETPOS=1',
    'RSCALE=HEBREW;FREQ=YEARLY',
    'FREQ=DAILY;COUNT=0',
    'FREQ=DAILY;INTERVAL=x',
    'FREQ=DAILY;COUNT=2;UNTIL=20270101',
    'FREQ=DAILY;FREQ=WEEKLY',
    'nonsense',
  ])('%s has no sentence of its own, so none is risked', (rule) => {
    expect(said(rule)).toBe(UNUSUAL);
  });

  test('UNTIL is the day where the event takes place, not the one in UTC', () => {
    expect(said('FREQ=DAILY;UNTIL=20261231T233000Z')).toBe('Every day, until Friday, January 1, 2027');
    const { zone, ...elsewhere } = START;
    expect(said('FREQ=DAILY;UNTIL=20261231T233000Z', 'en', { ...elsewhere, zone: 'Custom' })).toBe(
      'Every day, until Friday, January 1, 2027',
    );
    expect(zone).toBe('Europe/Berlin');
  });

  test('UNTIL in UTC of an event in no known zone is not said at all', () => {
    expect(said('FREQ=DAILY;UNTIL=20261231T233000Z', 'en', { local: START.local, allDay: false })).toBe(UNUSUAL);
  });

  test('a rule that gives one date only is no recurrence', () => {
    expect(said('FREQ=WEEKLY;COUNT=1')).toBeUndefined();
  });

  test.each([
    ['de', 'FREQ=WEEKLY;BYDAY=MO,FR', 'Jede Woche am Montag und Freitag'],
    ['de', 'FREQ=MONTHLY;BYDAY=1MO,3MO', 'Jeden Monat am ersten Montag und am dritten Montag'],
    ['de', 'FREQ=MONTHLY;BYMONTHDAY=15,-1', 'Jeden Monat am 15. und am letzten Tag'],
    ['de', 'FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU', 'Jedes Jahr am letzten Sonntag im März'],
    ['fr', 'FREQ=WEEKLY;BYDAY=MO,FR', 'Chaque semaine, le lundi et le vendredi'],
    ['fr', 'FREQ=MONTHLY;BYDAY=1MO,-1FR', 'Chaque mois, le premier lundi et le dernier vendredi'],
    ['fr', 'FREQ=YEARLY;BYMONTH=4;BYDAY=2SU', 'Chaque année, le deuxième dimanche en avril'],
    ['es', 'FREQ=WEEKLY;BYDAY=SA,SU', 'Todas las semanas, el sábado y el domingo'],
    ['es', 'FREQ=MONTHLY;BYMONTHDAY=15,-1', 'Todos los meses, el día 15 y el último día'],
    ['es', 'FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU', 'Todos los años, el último domingo de marzo'],
    ['ja', 'FREQ=WEEKLY;BYDAY=MO,FR', '毎週月曜日、金曜日'],
    ['ja', 'FREQ=MONTHLY;BYDAY=1MO,-1FR', '毎月第1月曜日、最終金曜日'],
    ['ja', 'FREQ=MONTHLY;BYMONTHDAY=15,-1', '毎月15日、末日'],
    ['ja', 'FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;COUNT=3', '毎年3月の最終日曜日（3回）'],
  ])('in %s %s', (language, rule, text) => {
    expect(said(rule, language)).toBe(text);
  });
});
