import { describe, expect, test } from 'vitest';
import { judgeRequestStatus, parseRequestStatus } from '../../../rules/request-status.ts';

describe('parseRequestStatus', () => {
  test.each([
    ['2.0;Success', { code: '2.0', description: 'Success' }],
    ['3.7;Invalid calendar user;ATTENDEE:mailto:a@example.com', { code: '3.7', description: 'Invalid calendar user' }],
    ['3.7', { code: '3.7', description: '' }],
    [' 2.8.1 ; Success ', { code: '2.8.1', description: 'Success' }],
    ['', undefined],
    ['Success', undefined],
    ['2', undefined],
    ['2.0 Success', undefined],
    ['2.0.0.0;x', undefined],
    ['-2.0;x', undefined],
  ])('%j is read as %j', (text, expected) => {
    expect(parseRequestStatus(text)).toEqual(expected);
  });
});

describe('judgeRequestStatus', () => {
  test.each([
    ['1.0', 'delivered', '2.0.0'],
    ['1.2', 'delivered', '2.0.0'],
    ['2.0', 'delivered', '2.0.0'],
    ['2.11', 'delivered', '2.0.0'],
    ['2.0.1', 'delivered', '2.0.0'],
    ['3.0', 'failed', '5.6.0'],
    ['3.7', 'failed', '5.1.1'],
    ['3.7.1', 'failed', '5.1.1'],
    ['3.8', 'failed', '5.7.1'],
    ['3.10', 'failed', '5.3.4'],
    ['3.14', 'failed', '5.6.0'],
    ['4.0', 'failed', '5.2.0'],
    ['5.0', 'failed', '5.3.3'],
    ['5.1', 'deferred', '4.3.2'],
    ['5.2', 'failed', '5.3.0'],
    ['5.3', 'failed', '5.2.1'],
  ])('%s is %s with %s', (code, kind, status) => {
    expect(judgeRequestStatus(code)).toMatchObject({ kind, status });
  });

  test.each(['5.4', '5.10', '0.0', '6.0', '9.9'])('%s means nothing', (code) => {
    expect(judgeRequestStatus(code)).toBeUndefined();
  });
});
