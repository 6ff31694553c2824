import { expect, test } from 'vitest';
import { parseContentType } from '../../../src/itip/content-type.ts';

test.each([
  ['text/calendar; charset=UTF-8; method=REQUEST', 'text/calendar', { charset: ['UTF-8'], method: ['REQUEST'] }],
  ['Text/Calendar;\r\n\tmethod="REQUEST"', 'text/calendar', { method: ['REQUEST'] }],
  ['text/calendar (an \\) invitation); method=REQUEST (really (yes))', 'text/calendar', { method: ['REQUEST'] }],
  [
    "text/calendar; method*0=REQ; method*1=UEST; name*=utf-8''%C3%A4.ics",
    'text/calendar',
    { method: ['REQUEST'], name: ['\xC3\xA4.ics'] },
  ],
  ["text/calendar; method*0*=us-ascii'en'RE%51; method*1=UEST", 'text/calendar', { method: ['REQUEST'] }],
  ['text/calendar; method=REPLY; method=REQUEST', 'text/calendar', { method: ['REPLY', 'REQUEST'] }],
  [
    'text/calendar; name="a;method=CANCEL"; method=REQUEST;',
    'text/calendar',
    { name: ['a;method=CANCEL'], method: ['REQUEST'] },
  ],
  ['text / calendar', 'text/calendar', {}],
  ['', '', {}],
])('%s', (value, type, parameters) => {
  const parsed = parseContentType(value);
  expect({ type: parsed.type, parameters: Object.fromEntries(parsed.parameters) }).toEqual({ type, parameters });
});
