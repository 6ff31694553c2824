import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadTemplates, TemplateError } from '../../../src/imip/templates.ts';
import { en } from '../../../src/imip/words/en.ts';
import { wordsFor } from '../../../src/imip/words/words.ts';
import { factsOf } from './words/samples.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'templates-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(files: Readonly<Record<string, string | object>>): void {
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
}

function mailIn(language: string, name = 'Bob') {
  const events = factsOf('REQUEST', ['SUMMARY:Budget\nORGANIZER;CN=Ann:mailto:ann@example.com']);
  const recipient = { name, address: 'bob@example.org' };
  return wordsFor(events, { language, recipient, kind: 'invitation', templates: loadTemplates(folder) });
}

describe('templates of a site', () => {
  test('replace single texts of a language and leave the others', () => {
    put({
      'de.json': { kindInvitation: 'Termineinladung', leadInvitation: '{who} bittet zu {title}.' },
      'notes.md': 'x',
    });
    expect(mailIn('de').subject).toBe('Termineinladung: Budget');
    expect(mailIn('de').text).toBe(
      'Ann bittet zu Budget.\n\nOrganisator: Ann (ann@example.com)\n\n-- \nAntworten können Sie mit Ihrem Kalenderprogramm. Eine Antwort auf diese E-Mail erhält Ann.\n',
    );
    expect(mailIn('en').subject).toBe('Invitation: Budget');
  });

  test('a regional file stands beside its language', () => {
    put({ 'de-AT.json': { kindInvitation: 'Terminladung' } });
    expect([mailIn('de-AT').subject, mailIn('de').subject]).toEqual(['Terminladung: Budget', 'Einladung: Budget']);
  });

  test('a whole file is a new language', () => {
    put({ 'pt.json': { ...en, kindInvitation: 'Convite' } });
    const { language, subject } = mailIn('pt-BR');
    expect({ language, subject }).toEqual({ language: 'pt-BR', subject: 'Convite: Budget' });
  });

  test('header and footer stand around the mail, those of a language before those of all', () => {
    put({
      'header.txt': 'For {recipient}\n',
      'footer.html': '<p>Example, {recipient}</p>\n',
      'de.footer.html': '<p>Beispiel</p>',
    });
    const { text, html } = mailIn('en', '<b>Bob</b>');
    expect(text.startsWith('For <b>Bob</b>\n\nAnn invites you')).toBe(true);
    expect(html).toContain('</table>\n<p>Example, <bdi>&#60;b&#62;Bob&#60;/b&#62;</bdi></p>\n</td></tr>');
    expect(mailIn('de').html).toContain('</table>\n<p>Beispiel</p>\n</td></tr>');
  });

  test('all faults are told at once, with file and key', () => {
    put({
      'de.json': { leadInvitaton: 'x', kindUpdate: 7, leadUpdate: '{who} and {whom}', when: 'a\nb' },
      'es.json': '{',
      'footer.txt': 'Hello {organizer}',
      'pt.json': { kindInvitation: 'Convite' },
      'no tag.json': {},
    });
    let told: unknown;
    try {
      loadTemplates(folder);
    } catch (error) {
      told = error;
    }
    expect(told).toBeInstanceOf(TemplateError);
    const lines = (told as TemplateError).message.split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'de.json: leadInvitaton: unknown key',
      'de.json: kindUpdate: need a text that is not empty',
      'de.json: leadUpdate: unknown placeholder {whom}, known are {who} {title}',
      'de.json: when: need one line',
    ]);
    expect(lines[4]).toMatch(/^es\.json: is no JSON: /);
    expect(lines[5]).toBe('footer.txt: unknown placeholder {organizer}, known are {recipient}');
    expect(lines[6]).toBe('no tag.json: got "no tag" as language, need a tag such as de or pt-BR');
    expect(lines[7]).toMatch(/^pt\.json: a language of its own needs all keys, these are missing: kindTask, /);
    expect(lines).toHaveLength(8);
  });

  test('a folder that is not there is named', () => {
    expect(() => loadTemplates(join(folder, 'none'))).toThrow(/none: cannot be read as a folder of templates$/);
  });
});
