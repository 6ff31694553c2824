import { describe, expect, test, vi } from 'vitest';
import { judge, type PostResult, retryAfterMs } from '../../../../channel/ischedule/failures.ts';
import type { RecipientResponse, Reply } from '../../../../channel/ischedule/wire.ts';
import { readSocketError } from '../../../../src/http/silence.ts';

const NOW = Date.parse('2030-01-01T08:00:00Z');
const RELAY = 'calendar.example.com:443';

function outcome(result: PostResult): unknown {
  return judge(result, ['bob@example.com'], ['mailto:bob@example.com'], RELAY, NOW).outcomes[0];
}

function answer(httpStatus: number, reply: Reply, retryAfter = ''): PostResult {
  return { kind: 'answer', httpStatus, retryAfter, reply };
}

function error(element: string): Reply {
  return { kind: 'error', element, description: '' };
}

function forBob(requestStatus: string): Reply {
  return { kind: 'responses', responses: [{ recipient: 'mailto:bob@example.com', requestStatus }] };
}

const HTML: Reply = { kind: 'unreadable', reason: 'the answer has a DOCTYPE' };

describe('a request status decides for its recipient', () => {
  test.each([
    ['1.0;Pending', 'delivered', '2.0.0', '1.0'],
    ['1.2;Delivered', 'delivered', '2.0.0', '1.2'],
    ['2.0;Success', 'delivered', '2.0.0', '2.0'],
    ['2.8;Success', 'delivered', '2.0.0', '2.8'],
    ['3.1;Invalid property value', 'failed', '5.6.0', '3.1'],
    ['3.7;Invalid calendar user', 'failed', '5.1.1', '3.7'],
    ['3.8;No authority', 'failed', '5.7.1', '3.8'],
    ['3.10;Too large', 'failed', '5.3.4', '3.10'],
    ['4.0;Busy', 'failed', '5.2.0', '4.0'],
    ['5.0;Not supported', 'failed', '5.3.3', '5.0'],
    ['5.1;Service unavailable', 'deferred', '4.3.2', '5.1'],
    ['5.2;Invalid calendar service', 'failed', '5.3.0', '5.2'],
    ['5.3;No scheduling support for user', 'failed', '5.2.1', '5.3'],
  ])('%s is %s %s', (text, kind, status, requestStatus) => {
    expect(outcome(answer(200, forBob(text)))).toEqual({
      ...{ kind, status, requestStatus, relay: RELAY, answered: true },
      diagnostic: `http; 200 ${text}`,
      reason: expect.any(String),
    });
  });

  test.each(['', 'Success', '5.9;What', '7.0'])('%j means nothing and is tried again', (text) => {
    expect(outcome(answer(200, forBob(text)))).toMatchObject({ kind: 'deferred', status: '4.3.2', answered: true });
  });

  test('the peer’s words end up in a diagnostic of one bounded line', () => {
    const { diagnostic } = outcome(answer(200, forBob(`3.7;a\r\nb\0${'x'.repeat(1000)}`))) as { diagnostic: string };
    expect(diagnostic).toMatch(/^http; 200 3\.7;a b x+$/);
    expect(diagnostic.length).toBeLessThan(220);
  });
});

describe('the answers are matched to those asked for', () => {
  function judged(recipients: readonly string[], responses: readonly RecipientResponse[]) {
    const { outcomes, strangers } = judge(
      answer(200, { kind: 'responses', responses }),
      recipients,
      recipients.map((recipient) => `mailto:${recipient}`),
      RELAY,
      NOW,
    );
    return { codes: outcomes.map((one) => one.requestStatus ?? one.kind), strangers };
  }

  test('in any order, by URI, without mailto:, in another case, percent-encoded', () => {
    expect(
      judged(
        ['a@example.com', 'b@example.com', 'c@example.com', 'd+x@example.com', 'o,p@example.com'],
        [
          { recipient: 'D%2Bx@example.com', requestStatus: '2.4' },
          { recipient: 'MAILTO:C@EXAMPLE.COM', requestStatus: '2.3' },
          { recipient: 'b@example.com', requestStatus: '2.2' },
          { recipient: 'mailto:a@example.com', requestStatus: '2.1' },
          { recipient: 'mailto:o,p@example.com', requestStatus: '2.5' },
        ],
      ),
    ).toEqual({ codes: ['2.1', '2.2', '2.3', '2.4', '2.5'], strangers: [] });
  });

  test('a recipient missing from the answer is deferred, its siblings are not', () => {
    expect(
      judged(['a@example.com', 'b@example.com'], [{ recipient: 'mailto:b@example.com', requestStatus: '2.0' }]),
    ).toEqual({
      codes: ['deferred', '2.0'],
      strangers: [],
    });
  });

  test('an answer for somebody else is ignored and named', () => {
    const responses = ['x', 'a'].map((local) => ({ recipient: `mailto:${local}@example.com`, requestStatus: '2.0' }));
    expect(judged(['a@example.com'], responses)).toEqual({ codes: ['2.0'], strangers: ['x@example.com'] });
  });

  test('of two answers for one recipient the first counts; an address asked for twice gets it twice', () => {
    const responses = ['2.0', '3.7'].map((requestStatus) => ({ recipient: 'mailto:a@example.com', requestStatus }));
    expect(judged(['a@example.com', 'a@example.com'], responses).codes).toEqual(['2.0', '2.0']);
  });
});

describe('an HTTP status decides for all recipients', () => {
  test.each([
    [200, HTML, 'deferred', '4.3.2', 'http; 200'],
    [200, error('verification-failed'), 'deferred', '4.3.2', 'http; 200 verification-failed'],
    [204, HTML, 'deferred', '4.3.2', 'http; 204'],
    [201, forBob('2.0;Success'), 'deferred', '4.3.2', 'http; 201'],
    [408, HTML, 'deferred', '4.3.2', 'http; 408'],
    [429, HTML, 'deferred', '4.3.2', 'http; 429'],
    [500, HTML, 'deferred', '4.3.2', 'http; 500'],
    [503, error('max-recipients'), 'deferred', '4.3.2', 'http; 503 max-recipients'],
    [507, HTML, 'deferred', '4.3.1', 'http; 507'],
    [400, error('recipient-missing'), 'failed', '5.5.0', 'http; 400 recipient-missing'],
    [403, error('recipient-mismatch'), 'failed', '5.5.0', 'http; 403 recipient-mismatch'],
    [400, error('invalid-calendar-data'), 'failed', '5.6.0', 'http; 400 invalid-calendar-data'],
    [403, error('invalid-scheduling-message'), 'failed', '5.6.0', 'http; 403 invalid-scheduling-message'],
    [403, error('max-recipients'), 'failed', '5.5.3', 'http; 403 max-recipients'],
    [403, error('valid-calendar-data'), 'failed', '5.6.0', 'http; 403 valid-calendar-data'],
    [403, error('valid-scheduling-message'), 'failed', '5.6.0', 'http; 403 valid-scheduling-message'],
    [403, error('supported-calendar-data'), 'failed', '5.6.0', 'http; 403 supported-calendar-data'],
    [403, error('recipient-specified'), 'failed', '5.5.0', 'http; 403 recipient-specified'],
    [413, error('max-content-length'), 'failed', '5.3.4', 'http; 413 max-content-length'],
    [403, error('max-instances'), 'failed', '5.6.0', 'http; 403 max-instances'],
    [403, error('min-date-time'), 'failed', '5.6.0', 'http; 403 min-date-time'],
    [403, error('attachment-type-not-supported'), 'failed', '5.6.1', 'http; 403 attachment-type-not-supported'],
  ])('%s with %j is %s %s', (httpStatus, reply, kind, status, diagnostic) => {
    expect(outcome(answer(httpStatus, reply))).toEqual({
      ...{ kind, status, diagnostic, relay: RELAY, answered: true },
      reason: expect.any(String),
    });
  });

  test.each([
    [401, HTML, 'http; 401'],
    [401, error('invalid-calendar-data'), 'http; 401 invalid-calendar-data'],
    [404, HTML, 'http; 404'],
    [405, HTML, 'http; 405'],
    [400, error('version-not-supported'), 'http; 400 version-not-supported'],
    [403, error('verification-failed'), 'http; 403 verification-failed'],
    [403, error('originator-denied'), 'http; 403 originator-denied'],
    [400, error('originator-missing'), 'http; 400 originator-missing'],
    [403, error('organizer-denied'), 'http; 403 organizer-denied'],
    [403, error(''), 'http; 403'],
    [400, HTML, 'http; 400'],
    [413, HTML, 'http; 413'],
    [412, HTML, 'http; 412'],
    [303, HTML, 'http; 303'],
  ])('%s with %j is our set-up: deferred, with an alarm', (httpStatus, reply, diagnostic) => {
    expect(outcome(answer(httpStatus, reply))).toEqual({
      ...{ kind: 'deferred', status: '4.3.5', alarm: true, diagnostic, relay: RELAY, answered: true },
      reason: expect.any(String),
    });
  });

  test('what the server says of a refusal stands in the diagnostic, in one line that ends', () => {
    const said = {
      kind: 'error',
      element: 'verification-failed',
      description: `found no\r\nsignature ${'x'.repeat(300)}`,
    };
    const { diagnostic } = outcome(answer(403, said as Reply)) as { diagnostic: string };
    expect(diagnostic.slice(0, 60)).toBe('http; 403 verification-failed: found no signature xxxxxxxxxx');
    expect(diagnostic.length).toBeLessThan(250);
  });

  test.each(['too-many', 'other-host', 'no-location'] as const)('a redirect that ends in %s is our set-up', (why) => {
    expect(outcome({ kind: 'redirect', httpStatus: 302, why })).toEqual({
      ...{ kind: 'deferred', status: '4.3.5', alarm: true, diagnostic: 'http; 302', relay: RELAY, answered: true },
      reason: expect.stringContaining('redirect'),
    });
  });
});

describe('Retry-After', () => {
  test('is honoured on every deferral that has it', () => {
    expect(outcome(answer(503, HTML, '120'))).toMatchObject({ kind: 'deferred', retryAfterMs: 120_000 });
    expect(outcome(answer(429, HTML, 'Tue, 01 Jan 2030 08:01:00 GMT'))).toMatchObject({ retryAfterMs: 60_000 });
    expect(outcome(answer(200, forBob('5.1;Later'), '7'))).toMatchObject({ retryAfterMs: 7000 });
    expect(outcome(answer(200, forBob('2.0;Success'), '7'))).not.toHaveProperty('retryAfterMs');
  });

  test.each([
    ['0', 0],
    [' 30 ', 30_000],
    ['Tue, 01 Jan 2030 09:00:00 GMT', 3_600_000],
    ['Tuesday, 01-Jan-30 09:00:00 GMT', 3_600_000],
    ['Tue, 01 Jan 2030 07:00:00 GMT', 0],
    ['Tue Jan  1 09:00:00 2030', 3_600_000],
    ['', undefined],
    ['-5', undefined],
    ['Tue, 1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['99999999999999999999', undefined],
    ['Xyz, nonsense', undefined],
  ])('%j is %s ms', (value, expected) => {
    expect(retryAfterMs(value, NOW)).toBe(expected);
  });

  test('is in GMT where the date of the old form names no zone, whatever zone we are in', () => {
    vi.stubEnv('TZ', 'Asia/Tokyo');
    try {
      expect(new Date(NOW).getHours()).toBe(17);
      expect(retryAfterMs('Tue Jan  1 09:00:00 2030', NOW)).toBe(3_600_000);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('no answer', () => {
  function socketError(code: string, syscall?: string): Error {
    return Object.assign(new Error(code), { code, ...(syscall === undefined ? {} : { syscall }) });
  }

  test.each([
    [socketError('ECONNREFUSED', 'connect'), '4.4.1'],
    [socketError('ENOTFOUND', 'getaddrinfo'), '4.4.1'],
    [socketError('ETIMEDOUT', 'connect'), '4.4.1'],
    [socketError('UND_ERR_CONNECT_TIMEOUT'), '4.4.1'],
    [Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }), '4.4.1'],
    [socketError('ECONNRESET', 'read'), '4.4.2'],
    [socketError('ECONNRESET'), '4.4.2'],
    [socketError('EPIPE', 'write'), '4.4.2'],
    [socketError('UND_ERR_SOCKET'), '4.4.2'],
    [socketError('UND_ERR_BODY_TIMEOUT'), '4.4.2'],
    [socketError('UND_ERR_HEADERS_TIMEOUT'), '4.4.2'],
    [socketError('EADDRREFUSED', 'connect'), '4.4.1'],
    [socketError('ESOMETHINGNEW', 'read'), '4.4.2'],
    [Object.assign(new Error('bad'), { name: 'HTTPParserError' }), '4.4.2'],
  ])('%s is deferred %s without an alarm', (cause, status) => {
    const silence = readSocketError(cause);
    expect(silence).toBeDefined();
    const seen = outcome({ kind: 'silence', silence: silence! });
    expect(seen).toEqual({ kind: 'deferred', status, relay: RELAY, answered: false, reason: expect.any(String) });
  });

  test.each([
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_OSSL_PEM_NO_START_LINE',
    'EPROTO',
  ])('%s is our trust: deferred with an alarm', (code) => {
    const silence = readSocketError(socketError(code));
    expect(outcome({ kind: 'silence', silence: silence! })).toMatchObject({
      ...{ kind: 'deferred', status: '4.3.5', alarm: true, answered: false },
    });
  });

  test.each([
    new TypeError('x is not a function'),
    socketError('UND_ERR_INVALID_ARG'),
    socketError('ERR_INVALID_ARG_TYPE'),
    'text',
  ])('%s is no word of the network', (cause) => {
    expect(readSocketError(cause)).toBeUndefined();
  });
});
