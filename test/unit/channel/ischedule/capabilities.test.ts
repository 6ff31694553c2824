import { describe, expect, test } from 'vitest';
import { parseCapabilities } from '../../../../channel/ischedule/capabilities.ts';

const NS = 'xmlns="urn:ietf:params:xml:ns:ischedule"';

function read(text: string): unknown {
  const reading = parseCapabilities(Buffer.from(text), 'application/xml; charset=utf-8');
  return reading.kind === 'capabilities' ? reading.capabilities : reading;
}

describe('a capabilities document is read', () => {
  test('in the layout of the last draft', () => {
    expect(
      read(`<?xml version="1.0"?><query-result ${NS}><capabilities>
  <serial-number>17</serial-number><versions><version>1.0</version></versions>
  <scheduling-messages><component name="VEVENT"><method name="REQUEST"/><method name="cancel"/></component>
    <component name="VFREEBUSY"/></scheduling-messages>
  <calendar-data-types><calendar-data-type content-type="text/calendar" version="2.0"/></calendar-data-types>
  <attachments><external/></attachments><rscales/>
  <max-content-length>1048576</max-content-length>
  <min-date-time>20000101T000000Z</min-date-time><max-date-time>20401231T235959Z</max-date-time>
  <max-instances>1000</max-instances><max-recipients>100</max-recipients>
  <administrator>mailto:calmaster@example.com</administrator></capabilities></query-result>`),
    ).toEqual({
      serial: '17',
      versions: ['1.0'],
      messages: new Map([
        ['VEVENT', new Set(['REQUEST', 'CANCEL'])],
        ['VFREEBUSY', new Set()],
      ]),
      dataTypes: ['text/calendar'],
      attachments: { inline: false, external: true },
      ...{ maxContentLength: 1048576, maxInstances: 1000, maxRecipients: 100 },
      minDateTime: Date.UTC(2000, 0, 1),
      maxDateTime: Date.UTC(2040, 11, 31, 23, 59, 59),
      administrator: 'mailto:calmaster@example.com',
    });
  });

  test('in the layout of the first drafts, as DAViCal writes it', () => {
    expect(
      read(`<?xml version="1.0" encoding="utf-8" ?>  <query-result ${NS}><capability-set>
  <supported-version-set><version>1.0</version></supported-version-set>
  <supported-scheduling-message-set><comp name="VEVENT"><method name="REQUEST"/></comp><comp name="VTODO"/>
  </supported-scheduling-message-set>
  <supported-calendar-data-type><calendar-data-type content-type="text/calendar" version="2.0"/></supported-calendar-data-type>
  <supported-attachment-values><inline-attachment/></supported-attachment-values>
  <supported-recipient-uri-scheme-set><scheme>mailto</scheme></supported-recipient-uri-scheme-set>
  <max-content-length>102400</max-content-length><max-recipients>250</max-recipients>
  <administrator>mailto:admin@example.com</administrator></capability-set></query-result>`),
    ).toEqual({
      serial: '',
      versions: ['1.0'],
      messages: new Map([
        ['VEVENT', new Set(['REQUEST'])],
        ['VTODO', new Set()],
      ]),
      dataTypes: ['text/calendar'],
      attachments: { inline: true, external: false },
      ...{ maxContentLength: 102400, maxRecipients: 250 },
      administrator: 'mailto:admin@example.com',
    });
  });

  test('with the serial number in a version, as Apple has it, under any prefix', () => {
    const text = `<S:query-result xmlns:S="urn:ietf:params:xml:ns:ischedule"><S:capabilities><S:version>5</S:version>
      <S:versions><S:version>1.0</S:version></S:versions></S:capabilities></S:query-result>`;
    expect(read(text)).toEqual({ serial: '5', versions: ['1.0'] });
  });

  test('with Bedework’s version 1 and calendar-data', () => {
    const text = `<query-result ${NS}><capabilities><version>1</version><calendar-data-types>
      <calendar-data content-type="text/calendar" version="2.0"/></calendar-data-types></capabilities></query-result>`;
    expect(read(text)).toEqual({ serial: '', versions: ['1'], dataTypes: ['text/calendar'] });
  });

  test('with limits that are empty, as Cyrus writes them, zero, or no number: no limit', () => {
    const text = `<query-result ${NS}><capabilities><serial-number>1</serial-number><max-recipients/>
      <administrator></administrator><max-content-length>0</max-content-length><max-instances>many</max-instances>
      <scheduling-messages/><min-date-time>always</min-date-time></capabilities></query-result>`;
    expect(read(text)).toEqual({ serial: '1', versions: [] });
  });
});

describe('no capabilities document is', () => {
  test.each([
    ['', 'the answer is empty'],
    ['Not found', 'the answer is not XML'],
    ['<!DOCTYPE html><html/>', 'the answer has a DOCTYPE'],
    ['<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><query-result>&b;</query-result>', 'the answer has a DOCTYPE'],
    ['<html><body/></html>', 'the answer is not a capabilities document'],
    [`<query-result ${NS}/>`, 'the answer is not a capabilities document'],
    [`<query-result ${NS}><capabilities>`, 'the answer is not well-formed XML'],
    [`${'<a>'.repeat(5000)}${'</a>'.repeat(5000)}`, 'the answer is not well-formed XML'],
  ])('%s', (text, reason) => {
    expect(read(text)).toEqual({ kind: 'unreadable', reason });
  });
});
