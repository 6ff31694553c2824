import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import { parseTags } from '../../channel/ischedule/dkim/tags.ts';
import { BODY, check, HEADERS, RECORD, signedPost } from '../unit/channel/ischedule/dkim/worked-example.ts';

const POST = signedPost();
const SIGNATURE = POST.rawHeaders.at(-1) ?? '';
const octet = fc.integer({ min: 1, max: 255 });

/** What relaxed makes of a header value: two values of one form are one value to a signature. */
function form(value: string): string {
  return value
    .replace(/\r\n(?=[ \t])/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/ ?, ?/g, ',')
    .trim();
}

test('an octet of the body that changes is refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(BODY.length - 1), octet, async (at, flip) => {
      const body = Buffer.from(BODY);
      body[at] = (body[at] ?? 0) ^ flip;
      expect((await check({ ...POST, body })).kind).toBe('refused');
    }),
  );
});

test('an octet of a signed header that changes is refused, unless relaxed makes the same of it', async () => {
  const index = fc.nat(HEADERS.length - 1).map((at) => 2 * at + 1);
  await fc.assert(
    fc.asyncProperty(index, fc.nat(), octet, async (index, place, flip) => {
      const before = POST.rawHeaders[index] ?? '';
      const at = place % before.length;
      const after = `${before.slice(0, at)}${String.fromCharCode(before.charCodeAt(at) ^ flip)}${before.slice(at + 1)}`;
      const { kind } = await check({ ...POST, rawHeaders: POST.rawHeaders.with(index, after) });
      expect(kind).toBe(form(before) === form(after) ? 'verified' : 'refused');
    }),
    { numRuns: 300 },
  );
});

test('an octet of the signature that changes proves nothing', async () => {
  const end = SIGNATURE.lastIndexOf('b=');
  await fc.assert(
    fc.asyncProperty(fc.nat(end - 1), octet, async (at, flip) => {
      const changed = String.fromCharCode(SIGNATURE.charCodeAt(at) ^ flip);
      const value = `${SIGNATURE.slice(0, at)}${changed}${SIGNATURE.slice(at + 1)}`;
      const { kind } = await check({ ...POST, rawHeaders: POST.rawHeaders.with(-1, value) });
      expect(kind).toBe(form(value) === form(SIGNATURE) ? 'verified' : 'refused');
    }),
    { numRuns: 300 },
  );
});

test('white space and folding that relaxed drops change nothing', async () => {
  const space = fc.constantFrom(' ', '\t', '  ', ' \t ', '\r\n ', ' \r\n\t');
  const spaces = fc.array(space, { minLength: 12, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(spaces, async (spaces) => {
      let used = 0;
      const next = (): string => spaces[used++ % spaces.length] ?? ' ';
      const rawHeaders = POST.rawHeaders.map((text, at) => {
        if (at % 2 === 0) return text;
        const spread = text.replace(/[ \t\r\n]+/g, next).replace(/,/g, () => `${next()},${next()}`);
        return `${next()}${spread}${next()}`;
      });
      expect((await check({ ...POST, rawHeaders })).kind).toBe('verified');
    }),
  );
});

test('no text makes the readers of tags and key records throw', () => {
  const part = fc.constantFrom('v', 'p', 'k', '=', ';', ':', ' ', '\r\n', 'DKIM1', 'rsa', '', 'AAAA', '\0', 'é');
  const text = fc.oneof(
    fc.string(),
    fc.array(part).map((parts) => parts.join('')),
    fc.constant(RECORD),
  );
  fc.assert(
    fc.property(text, (text) => {
      expect(['tags', 'malformed']).toContain(parseTags(text).kind);
      expect(['key', 'revoked', 'unusable', 'other']).toContain(parseKeyRecord(text).kind);
    }),
    { numRuns: 500 },
  );
});
