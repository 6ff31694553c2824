import { describe, expect, test } from 'vitest';
import { header, readAnswer } from '../../../src/doctor/http-answer.ts';

const OPEN = { isHead: false, closed: false };
const CLOSED = { isHead: false, closed: true };

function read(text: string, state = OPEN) {
  const answer = readAnswer(Buffer.from(text, 'latin1'), state);
  return answer === 'incomplete' || answer.kind === 'nothing' ? answer : { ...answer, body: answer.body.toString() };
}

describe('an HTTP answer as octets', () => {
  test('is read with its length, and what follows is left', () => {
    expect(read('HTTP/1.1 403 Forbidden\r\nA: b\r\nContent-Length: 3\r\n\r\nyesmore')).toEqual({
      kind: 'answer',
      status: 403,
      headers: [
        ['A', 'b'],
        ['Content-Length', '3'],
      ],
      interim: [],
      body: 'yes',
    });
  });

  test('is incomplete before its last octet', () => {
    expect(read('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nye')).toBe('incomplete');
    expect(read('HTTP/1.1 200 OK\r\nContent-Le')).toBe('incomplete');
    expect(read('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n')).toBe('incomplete');
  });

  test('has its chunks undone', () => {
    expect(
      read('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n2;x=y\r\nno\r\n0\r\n\r\n'),
    ).toMatchObject({
      body: 'yesno',
    });
  });

  test('ends with the connection where nothing says how long it is', () => {
    expect(read('HTTP/1.0 200 OK\r\n\r\nall of it')).toBe('incomplete');
    expect(read('HTTP/1.0 200 OK\r\n\r\nall of it', CLOSED)).toMatchObject({ body: 'all of it' });
  });

  test('has no body after HEAD, 204 and 304, whatever its length says', () => {
    expect(read('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')).toMatchObject({ status: 304, body: '' });
    expect(read('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', { isHead: true, closed: false })).toMatchObject({
      body: '',
    });
  });

  test('tells which interim answers came before it', () => {
    const text = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
    expect(read(text)).toMatchObject({ status: 200, interim: [100] });
  });

  test('is nothing where the peer closed, or speaks something else', () => {
    expect(read('', CLOSED)).toEqual({ kind: 'nothing', reason: 'it closed the connection without an answer' });
    expect(read('HTTP/1.1 200', CLOSED)).toEqual({
      kind: 'nothing',
      reason: 'it closed the connection in the middle of its answer',
    });
    expect(read('220 mail.example.com ESMTP\r\n\r\n')).toEqual({
      kind: 'nothing',
      reason: 'it does not speak HTTP: "220 mail.example.com ESMTP"',
    });
  });

  test('has headers of one name joined, in any case of letters', () => {
    const answer = readAnswer(Buffer.from('HTTP/1.1 204 x\r\nVary: a\r\nvary: b\r\n\r\n'), OPEN);
    expect(answer === 'incomplete' ? answer : header(answer, 'VARY')).toBe('a, b');
  });
});
