import { describe, expect, test } from 'vitest';
import { type Ending, whoIsTold } from '../../../rules/notify.ts';

const BASE: Ending = {
  mode: 'filter',
  kind: 'mail',
  outcomeKind: 'failed',
  nullReversePath: false,
  relayedWithoutDsn: false,
  sessionWaits: false,
};

function told(ending: Partial<Ending>): string {
  const telling = whoIsTold({ ...BASE, ...ending });
  return telling.told === 'dsn' ? `dsn ${telling.action}` : telling.told;
}

describe('a mail that failed', () => {
  const rows: [string, Partial<Ending>, string][] = [
    ['in the session is its reply', { sessionWaits: true }, 'reply'],
    ['after the session is a DSN', {}, 'dsn failed'],
    ['by expiry is a DSN', { outcomeKind: 'expired' }, 'dsn failed'],
    ['from the null reverse-path is told to nobody', { nullReversePath: true }, 'nobody'],
    [
      'from the null reverse-path in the session is its reply still',
      { nullReversePath: true, sessionWaits: true },
      'reply',
    ],
    ['with NOTIFY=NEVER is told to nobody', { notify: ['NEVER'] }, 'nobody'],
    ['with NOTIFY=NEVER in the session is its reply still', { notify: ['NEVER'], sessionWaits: true }, 'reply'],
    ['with NOTIFY=SUCCESS,DELAY is told to nobody', { notify: ['SUCCESS', 'DELAY'] }, 'nobody'],
    ['with NOTIFY=SUCCESS,FAILURE is a DSN', { notify: ['SUCCESS', 'FAILURE'] }, 'dsn failed'],
    ['in place of a post, after the answer, is a DSN to the originator', { mode: 'relay' }, 'dsn failed'],
    ['in place of a post, while the peer waits, is its answer', { mode: 'relay', sessionWaits: true }, 'reply'],
    ['in copy is told to nobody', { mode: 'copy' }, 'nobody'],
    ['in copy is told to nobody, not even in the session', { mode: 'copy', sessionWaits: true }, 'nobody'],
  ];
  for (const [title, ending, expected] of rows) test(title, () => expect(told(ending)).toBe(expected));
});

describe('a post that failed', () => {
  const rows: [string, Partial<Ending>, string][] = [
    ['in filter is told to nobody', { mode: 'filter' }, 'nobody'],
    ['in filter is told to nobody, in the session neither', { mode: 'filter', sessionWaits: true }, 'nobody'],
    ['in filter by expiry is told to nobody', { mode: 'filter', outcomeKind: 'expired' }, 'nobody'],
    ['in copy is told to nobody', { mode: 'copy', sessionWaits: true }, 'nobody'],
    ['in final in the session is its reply', { mode: 'final', sessionWaits: true }, 'reply'],
    ['in final after the session is a DSN', { mode: 'final' }, 'dsn failed'],
    ['in final by expiry is a DSN', { mode: 'final', outcomeKind: 'expired' }, 'dsn failed'],
    ['in final from the null reverse-path is told to nobody', { mode: 'final', nullReversePath: true }, 'nobody'],
    ['in relay while the peer waits is its answer', { mode: 'relay', sessionWaits: true }, 'reply'],
    ['in relay after the answer is a DSN to the originator', { mode: 'relay' }, 'dsn failed'],
    ['in relay by expiry is a DSN to the originator', { mode: 'relay', outcomeKind: 'expired' }, 'dsn failed'],
    ['in relay is told to nobody when the peer left without its answer', { mode: 'relay', clientGone: true }, 'nobody'],
  ];
  for (const [title, ending, expected] of rows)
    test(title, () => expect(told({ kind: 'post', ...ending })).toBe(expected));
});

describe('success', () => {
  const asked: Partial<Ending> = { outcomeKind: 'delivered', notify: ['SUCCESS'] };
  const rows: [string, Partial<Ending>, string][] = [
    ['is told to nobody unasked', { outcomeKind: 'delivered' }, 'nobody'],
    [
      'is told to nobody unasked, though the next hop knows no DSN',
      { outcomeKind: 'delivered', relayedWithoutDsn: true },
      'nobody',
    ],
    ['asked for is left to a next hop that reports', asked, 'nobody'],
    ['asked for is relayed when the next hop does not report', { ...asked, relayedWithoutDsn: true }, 'dsn relayed'],
    [
      'asked for by the null reverse-path is told to nobody',
      { ...asked, relayedWithoutDsn: true, nullReversePath: true },
      'nobody',
    ],
    ['of a post in final is delivered', { ...asked, mode: 'final', kind: 'post' }, 'dsn delivered'],
    [
      'of a post in final makes its DSN while the session waits, too',
      { ...asked, mode: 'final', kind: 'post', sessionWaits: true },
      'dsn delivered',
    ],
    ['of a post in filter is told to nobody', { ...asked, kind: 'post' }, 'nobody'],
    ['in copy is told to nobody', { ...asked, mode: 'copy', kind: 'post' }, 'nobody'],
  ];
  for (const [title, ending, expected] of rows) test(title, () => expect(told(ending)).toBe(expected));
});
