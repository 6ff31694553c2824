import { describe, expect, test } from 'vitest';
import { heldTable } from '../../../src/commands/queue-text.ts';
import type { Delivery, Message } from '../../../src/queue/store.ts';

const NOW = Date.UTC(2030, 0, 10, 12);
const HOUR = 3_600_000;

const message: Message = {
  id: 'Q1',
  receivedAt: NOW - 30 * HOUR,
  listener: 'in',
  mode: 'filter',
  origin: 'outside',
  client: { address: '192.0.2.1', protocol: 'ESMTP' },
  envelope: { reversePath: 'olga@example.org', recipients: [], smtpUtf8: false, body: '7BIT' },
  size: 1000,
  eightBit: false,
  calendar: true,
  passes: 0,
  method: 'REQUEST',
};

function held(queueId: string, heldForMs: number, reason: string): Delivery & { readonly message: Message } {
  return {
    id: 1,
    queueId,
    position: 0,
    kind: 'post',
    route: 'calendar',
    state: 'held',
    recipient: 'mia@example.com',
    createdAt: NOW - 30 * HOUR,
    dueAt: NOW,
    blocked: false,
    released: false,
    attempts: 0,
    answers: 0,
    heldAt: NOW - heldForMs,
    heldMs: 0,
    decisions: [{ post: { kind: 'hold', reason }, annotate: true, rule: reason, steps: [] }],
    message,
  };
}

describe('the table of what is on hold', () => {
  test('says since when and why, marks what outlasts the limit, and counts it', () => {
    expect(
      heldTable(
        [
          held('Q1', 30 * HOUR + 5 * 60_000, 'moving'),
          held('Q2', 24 * HOUR, 'moving'),
          held('Q3', 45_000, 'ambiguous'),
        ],
        24 * HOUR,
        NOW,
      ),
    ).toEqual({
      head: ['ID', 'KIND', 'RECIPIENT', 'FROM', 'METHOD', 'HELD SINCE', 'FOR', 'REASON'],
      cells: [
        ['Q1', 'post', 'mia@example.com', 'olga@example.org', 'REQUEST', '2030-01-09T05:55:00Z', '1d 6h !', 'moving'],
        ['Q2', 'post', 'mia@example.com', 'olga@example.org', 'REQUEST', '2030-01-09T12:00:00Z', '1d', 'moving'],
        ['Q3', 'post', 'mia@example.com', 'olga@example.org', 'REQUEST', '2030-01-10T11:59:15Z', '45s', 'ambiguous'],
      ],
      late: '! 1 held for longer than queue.hold-limit, 1d',
    });
  });

  test('says nothing of the limit while no hold outlasts it', () => {
    expect(heldTable([held('Q1', 5 * 60_000, 'moving')], HOUR, NOW)).not.toHaveProperty('late');
  });
});
