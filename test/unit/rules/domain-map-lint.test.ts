import { describe, expect, test } from 'vitest';
import { endpointOf, lintDomainMap, type MapSurroundings } from '../../../rules/domain-map-lint.ts';

const NOWHERE: MapSurroundings = { ownEndpoints: [] };
const lint = (lines: readonly string[], around = NOWHERE) =>
  lintDomainMap(lines.join('\n'), 'map.properties', around).map(({ line, kind, text }) => `${line} ${kind}: ${text}`);

describe('what is wrong with a domain map', () => {
  test('is nothing when every line says something', () => {
    const map = [
      '# ours',
      'example.com=https://a.example.com/ischedule/',
      '*.example.com=https://b.example.com/ischedule/',
      '*.sales.example.com=https://b.example.com/ischedule/ profile=cyrus',
      'example.org=http://c.example.org:8080/ischedule/',
      '*=https://d.example.com/',
    ];
    expect(lint(map, { ownEndpoints: ['gateway.example.com:8080', '[::1]:8080'], marker: 'davStore' })).toEqual([]);
  });

  test('are lines that cannot be read, and a byte order mark', () => {
    expect(lint(['\uFEFFexample.com', 'b.test=http://b.test/', 'c.test=http://c.test/ profile=x'])).toEqual([
      '1 note: map.properties begins with a byte order mark, which the calendar server takes for part of the first domain; save it without one',
      '1 error: example.com has no URL, need example.com=https://calendar.example.com/ischedule/',
      '3 error: got the profile "x", need one of generic, cyrus, oracle-v7, oracle-v6, davical, apple, bedework',
    ]);
  });

  test('are lines that a later one of the same domain hides, however it is spelled', () => {
    const map = [
      'example.com=http://a.example.com/',
      'bücher.example=http://a.example.com/',
      '*.example.org=http://a.example.com/',
      'EXAMPLE.com.=http://b.example.com/',
      'xn--bcher-kva.example=http://b.example.com/',
      '*.Example.ORG=http://a.example.com/ profile=cyrus',
      'b\\u00fccher.example=http://c.example.com/',
    ];
    expect(lint(map)).toEqual([
      '1 note: this line is never used: example.com stands in line 4 again, and the last one counts',
      '2 note: this line is never used: xn--bcher-kva.example stands in line 7 again, and the last one counts',
      '3 note: this line is never used: *.example.org stands in line 6 again, and the last one counts',
      '5 note: this line is never used: xn--bcher-kva.example stands in line 7 again, and the last one counts',
    ]);
  });

  test('are lines that stand there twice', () => {
    expect(lint(['example.com=http://a.example.com/', 'example.com = http\\://a.example.com/'])).toEqual([
      '1 note: example.com stands in line 2 again, with the same server; take one of them out',
    ]);
  });

  test('are lines without which nothing would change', () => {
    const map = [
      'sales.example.com=http://a.example.com/',
      '*.eu.example.com=http://a.example.com/',
      '*.example.com=http://a.example.com/',
      // Covered by no `*.example.com`, which is for what lies below it.
      'example.com=http://a.example.com/',
      'example.org=http://b.example.com/',
      '*=http://b.example.com/',
    ];
    expect(lint(map)).toEqual([
      '1 note: this line says nothing new: without it *.example.com in line 3 names the same server for sales.example.com',
      '2 note: this line says nothing new: without it *.example.com in line 3 names the same server for *.eu.example.com',
      '5 note: this line says nothing new: without it * in line 6 names the same server for example.org',
    ]);
  });

  test('are lines that lead back to ourselves', () => {
    const own = { ownEndpoints: ['Gateway.example.com:80', '127.0.0.1:8080', '[::1]:443'] };
    const map = [
      'a.test=http://GATEWAY.example.com/ischedule/',
      'b.test=http://gateway.example.com.:80/',
      'c.test=http://127.0.0.1:8080/',
      'd.test=https://[0:0::1]/',
      'e.test=https://gateway.example.com/',
      'f.test=http://127.0.0.1:8081/',
    ];
    const back = (url: string, endpoint: string) =>
      `${url} leads back to ourselves: ${endpoint} is a listener of this gateway; name the calendar server`;
    expect(lint(map, own)).toEqual([
      `1 error: ${back('http://GATEWAY.example.com/ischedule/', 'gateway.example.com:80')}`,
      '1 note: http://GATEWAY.example.com/ischedule/ is not encrypted, where line 5 has https://gateway.example.com/',
      `2 error: ${back('http://gateway.example.com.:80/', 'gateway.example.com:80')}`,
      `3 error: ${back('http://127.0.0.1:8080/', '127.0.0.1:8080')}`,
      `4 error: ${back('https://[0:0::1]/', '[::1]:443')}`,
    ]);
  });

  test('is * beside a default back end, which then nobody gets, unless a marker tells whose it is', () => {
    const around = {
      ownEndpoints: [],
      defaultBackEnd: { url: 'https://a.example.com/', profile: 'generic' },
    } as const;
    expect(lint(['example.com=http://a.test/', '*=http://b.test/'], around)).toEqual([
      '2 note: * takes every domain, so that calendar.default is never used; keep one',
    ]);
    expect(lint(['*=http://b.test/'], { ...around, marker: 'davStore' })).toEqual([]);
  });
});

test('an endpoint is host and port of a URL, with the port that its scheme implies', () => {
  expect(['http://A.example.com/x', 'https://a.example.com.', 'https://[::1]:8443/'].map(endpointOf)).toEqual([
    'a.example.com:80',
    'a.example.com:443',
    '[::1]:8443',
  ]);
});
