import { encode } from 'dns-packet';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { composeQuery, isDnsName, RECORD_TYPES, readReply } from '../../src/net/dns-message.ts';

const name = '_ischedules._tcp.example.com';

const whole = (type: (typeof RECORD_TYPES)[number]) =>
  encode({
    type: 'response',
    id: 7,
    questions: [{ type, name }],
    answers: [
      { type: 'CNAME', name, ttl: 5, data: 'b.example.com' },
      {
        type: 'SRV',
        name: 'b.example.com',
        ttl: 5,
        data: { priority: 1, weight: 2, port: 3, target: 'c.example.com' },
      },
      { type: 'TXT', name: 'b.example.com', ttl: 5, data: ['path=/x', 'y'] },
      { type: 'A', name: 'b.example.com', ttl: 5, data: '192.0.2.1' },
      { type: 'AAAA', name: 'b.example.com', ttl: 5, data: '2001:db8::1' },
    ],
    authorities: [{ type: 'SOA', name: 'example.com', ttl: 5, data: { mname: 'a.b', rname: 'c.d', minimum: 9 } }],
  });

test('no bytes after a right header make the reader throw, hang or give an unbounded answer', () => {
  const type = fc.constantFrom(...RECORD_TYPES);
  const mutations = fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 })), { maxLength: 20 });
  const tail = fc.uint8Array({ maxLength: 600 });
  // Any type and data of a record, for the decoder knows many more types than are asked for.
  const records = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.uint8Array({ maxLength: 60 })), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(type, mutations, tail, records, fc.nat(300), (asked, changes, junk, others, cut) => {
      const query = composeQuery({ name, type: asked }, 7, true);
      const message = whole(asked);
      const questionEnd = 12 + name.length + 6;
      const extra = others.map(([other, data]) => {
        const head = Buffer.alloc(13);
        head.writeUInt16BE(0xc00c, 0);
        head.writeUInt16BE(other, 2);
        head.writeUInt16BE(1, 4);
        head.writeUInt16BE(data.length, 10);
        return Buffer.concat([head.subarray(0, 12), data]);
      });
      const before = Buffer.concat([message.subarray(0, questionEnd), ...extra]);
      const built = Buffer.concat([before, message.subarray(questionEnd, message.length - (cut % 60)), junk]);
      built.writeUInt16BE(others.length + 5, 6);
      for (const [at, value] of changes) if (questionEnd + at < built.length) built[questionEnd + at] = value;
      const reply = readReply(built, query);
      if (reply?.kind === 'records') {
        expect(reply.records.length).toBeLessThanOrEqual(32);
        expect(reply.records.length).toBeGreaterThan(0);
        expect(Number.isFinite(reply.ttlMs)).toBe(true);
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a name that may be asked for always makes a query of the length that its question is compared by', () => {
  const label = fc.stringMatching(/^[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 8 }), (labels) => {
      const asked = labels.join('.');
      fc.pre(isDnsName(asked));
      const { message } = composeQuery({ name: asked, type: 'TXT' }, 1, false);
      expect(message.length).toBe(12 + asked.length + 2 + 4);
    }),
  );
});
