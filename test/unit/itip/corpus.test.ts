import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { examine } from '../../../src/itip/extract.ts';
import { isMethod } from '../../../src/itip/message.ts';

const CORPUS = process.env.IMIPD_CORPUS ?? join(import.meta.dirname, '../../../../shared/corpus');
const isThere = existsSync(join(CORPUS, 'INDEX.tsv'));

/** The `imip-*` messages that give no object although the index names a METHOD we schedule, or name none at all. */
const NOT_SCHEDULED: Readonly<Record<string, string>> = {
  // The calendar is inside a bounce or a forwarded message.
  'mail/apple/ccs--dsn_failure_no_ics.eml': 'no calendar part',
  'mail/apple/ccs--dsn_failure_with_ics.eml': 'no calendar part',
  'mail/exchange/zm-soap-harness--32967_mimemsg.txt.eml': 'no calendar part',
  'mail/zimbra/zm-mailbox--calendar-bounce.eml': 'no calendar part',
  'mail/zimbra/zm-selenium--email08_mime04.txt.eml': 'no calendar part',
  // Our rulings: what contradicts itself is not posted.
  'mail/bluemind/bluemind--bm.task.invite.eml': 'the application/ics part has another component type',
  'mail/google/bluemind--google_counter.eml': 'the method parameter is REPLY, METHOD is COUNTER',
  'mail/openpaas/tmail--emailWithAliceCancelEventIcsAttachment.eml':
    'the method parameter is REQUEST, METHOD is CANCEL',
  // RFC 5546 asks for what is not there.
  'mail/apple/ccs--reply_missing_organizer.eml': 'REPLY with 0 ATTENDEEs, wanted exactly one',
  'mail/google/zm-soap-harness--32309.txt.eml': 'no component to schedule in the calendar part',
  'mail/outlook/zm-soap-harness--outlook-ical-raw.txt.eml': 'REQUEST without ORGANIZER',
  'mail/zimbra/zm-soap-harness--msg-201.txt.eml': 'REQUEST without ATTENDEE',
  // DTEND:20051008T2030000Z, and a template's DTSTART:REPLACEME_FOUR.
  'mail/zimbra/zm-soap-harness--RequestReply_msg-109.txt.eml': 'DTEND in line 14 is no date or date-time',
  'mail/zimbra/zm-soap-harness--dumpster_appt01.txt.eml': 'DTSTART in line 29 is no date or date-time',
  // No METHOD, or PUBLISH, which is never scheduled by mail.
  'mail/other-publishers/tine--meetup.eml': 'METHOD PUBLISH is not scheduled by mail',
  'mail/other-publishers/tine--zoom_invite.eml': 'METHOD is missing',
  'mail/thunderbird/comm-central--message-containing-event.eml': 'METHOD PUBLISH is not scheduled by mail',
  'mail/thunderbird/comm-central--message-non-invite.eml': 'METHOD PUBLISH is not scheduled by mail',
  'mail/thunderbird/comm-central--messages_invite.eml':
    'METHOD is missing, and the method parameter does not stand in for it',
  'mail/zimbra/zm-selenium--createApptFromICSAttachment2_Bug27959.txt.eml': 'METHOD PUBLISH is not scheduled by mail',
};

type Entry = { readonly path: string; readonly kind: string; readonly method: string };

function index(): readonly Entry[] {
  const rows = readFileSync(join(CORPUS, 'INDEX.tsv'), 'utf8').trimEnd().split('\n').slice(1);
  return rows.map((row) => {
    const [path = '', kind = '', , method = ''] = row.split('\t');
    return { path, kind, method };
  });
}

const sample = (path: string): Buffer => readFileSync(join(CORPUS, path));
/** As it would come by SMTP. */
const withCrlf = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n'), 'latin1');

function wrapped(object: Buffer): Buffer {
  const method = /^METHOD:([A-Z]+)/im.exec(object.toString('latin1'))?.[1];
  const parameter = method !== undefined && isMethod(method.toUpperCase()) ? `; method=${method}` : '';
  const header = `Date: Sat, 21 Nov 2026 09:00:00 +0100\r\nContent-Type: text/calendar${parameter}\r\n\r\n`;
  return Buffer.concat([Buffer.from(header), object]);
}

describe.skipIf(!isThere)(`the corpus of real samples${isThere ? '' : ' (not found; set IMIPD_CORPUS)'}`, () => {
  const entries = isThere ? index() : [];
  const mails = entries.filter(({ path }) => path.endsWith('.eml'));

  test('every file is read without a throw, as it is and as it would come by SMTP', async () => {
    const files = readdirSync(CORPUS, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /\.(eml|ics|tnef)$/.test(path),
    );
    expect(files.length).toBe(entries.length);
    for (const path of files) {
      const bytes = path.endsWith('.ics') ? wrapped(sample(path)) : sample(path);
      for (const content of [bytes, withCrlf(bytes)]) {
        const examination = await examine(content);
        expect(examination.kind === 'object' || examination.reason.length > 0, path).toBe(true);
        if (examination.kind === 'object') expect(isMethod(examination.object.method), path).toBe(true);
      }
    }
  });

  test.each(mails.filter(({ kind }) => kind.startsWith('imip-')))('$path', async ({ path, method }) => {
    const examination = await examine(withCrlf(sample(path)));
    const reason = NOT_SCHEDULED[path];
    if (reason === undefined) expect(examination).toMatchObject({ kind: 'object', object: { method } });
    else expect(examination).toMatchObject({ kind: 'none', reason });
  });

  test('plain mail holds nothing to schedule', async () => {
    for (const { path } of mails.filter(({ kind }) => kind === 'plain')) {
      expect(await examine(withCrlf(sample(path))), path).toMatchObject({ kind: 'none' });
    }
  });

  test.each([
    ['itip/apple/bluemind--counter_ios.ics', 'REPLY'],
    ['itip/blackberry/py-icalendar--property_params.ics', 'REQUEST'],
    ['itip/exchange/bluemind--teams.request.ics', 'REQUEST'],
    ['itip/evolution/evolution-ds--invite-4.ics', 'CANCEL'],
    ['itip/google/tine--google_confirm.ics', 'REPLY'],
    ['itip/nextcloud-sabre/nextcloud-calendar--vcalendars-scheduling_add.ics', 'ADD'],
    [
      'itip/nextcloud-sabre/nextcloud-calendar--vcalendars-scheduling_refresh.ics',
      'REFRESH with 4 ATTENDEEs, wanted exactly one',
    ],
    ['itip/nextcloud-sabre/nextcloud-calendar--declinecounter.ics', 'DECLINECOUNTER'],
    ['itip/sogo-ogo/ical4j--zidestoreical4jbomb.ics', 'REQUEST'],
    ['itip/apple/bluemind--osx_request.ics', 'VFREEBUSY is not scheduled by mail'],
    ['itip/rfc/libical--2446.ics', 'more than one VCALENDAR in the calendar part'],
    ['itip/google/bluemind--unknowntz.ics', 'components of different UIDs'],
  ])('%s by itself: %s', async (path, wanted) => {
    const examination = await examine(wrapped(sample(path)));
    expect(examination.kind === 'object' ? examination.object.method : examination.reason).toBe(wanted);
  });
});
