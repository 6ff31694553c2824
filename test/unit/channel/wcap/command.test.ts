import { describe, expect, test } from 'vitest';
import { commandUrl, formOf, refusalOf } from '../../../../channel/wcap/command.ts';

const reply = (status: number) => ({ kind: 'answer', status, headers: {}, body: Buffer.alloc(0) }) as const;

describe('a command', () => {
  test.for([
    ['http://cs6.example.com', 'http://cs6.example.com/login.wcap'],
    ['http://cs6.example.com:8080/', 'http://cs6.example.com:8080/login.wcap'],
    ['http://cs6.example.com/wcap', 'http://cs6.example.com/wcap/login.wcap'],
    ['http://cs6.example.com/davserver/wcap//?a=b#c', 'http://cs6.example.com/davserver/wcap/login.wcap'],
  ] as const)('of %s is at %s', ([base, url]) => {
    expect(commandUrl(new URL(base), 'login').href).toBe(url);
  });

  test('that is posted encodes what would end a parameter', () => {
    const request = formOf(new URL('http://cs6.example.com/login.wcap'), { user: 'a&b=ü', password: 'x y;z+%' });
    expect(request.body?.toString()).toBe('user=a%26b%3D%C3%BC&password=x+y%3Bz%2B%25');
    expect(request.headers).toEqual({ 'Content-Type': 'application/x-www-form-urlencoded' });
  });
});

describe('an HTTP status', () => {
  test.for<[status: number, refusal: string | undefined]>([
    [200, undefined],
    [204, 'the calendar server failed (HTTP 204)'],
    [401, 'the calendar server wants credentials (HTTP 401): look at user and password'],
    [403, 'the calendar server refuses the gateway (HTTP 403): look at who it lets in, and at user and password'],
    [404, 'the calendar server has no WCAP service there (HTTP 404): look at the URL'],
    [500, 'the calendar server failed (HTTP 500)'],
    [503, 'the calendar server failed (HTTP 503)'],
  ])('of %d is %s', ([status, refusal]) => {
    expect(refusalOf(reply(status))).toBe(refusal);
  });
});
