import type { EventFacts, Person } from '../event-facts.ts';
import type { Words } from '../mail.ts';
import type { Frame, SiteTemplates } from '../templates.ts';
import { asHtml } from './as-html.ts';
import { asText } from './as-text.ts';
import type { Kind } from './kind.ts';
import { type Choice, chooseLanguage } from './language.ts';
import { escapeHtml, fill, oneLine } from './phrase.ts';
import { sheetOf } from './sheet.ts';

export type WordsContext = {
  /** The recipient's, as a tag or a list as in Accept-Language; one without words falls back. */
  readonly language: string;
  /** The configured one, tried before English. */
  readonly defaultLanguage?: string;
  readonly recipient: Person;
  readonly kind: Kind;
  /** What stood before an update, or stands against a COUNTER; lends title and times to objects that leave them out. */
  readonly previous?: EventFacts;
  /** Who answers or asks, where the object names several attendees, as a COUNTER does. */
  readonly author?: Person;
  /** With kind `failure`. */
  readonly failure?: { readonly attendee: Person; readonly reason: string };
  readonly templates?: SiteTemplates;
};

/**
 * What a person reads beside a calendar object, in one language.
 * @param event master first, then overrides, as `eventFacts` gives them
 * @returns `language` is the tag that the words are in
 */
export function wordsFor(event: readonly EventFacts[], context: WordsContext): Words & { readonly language: string } {
  const choice = chooseLanguage([context.language, context.defaultLanguage], context.templates?.languages);
  const [first = NOTHING, ...overrides] = event;
  const sheet = sheetOf([first, ...overrides], context, choice);
  const frame = frameOf(choice, context.templates);
  const { name, address } = context.recipient;
  const recipient = oneLine(name ?? '') || address;
  const inText = (template = ''): string => filled(template, recipient).trimEnd();
  const inHtml = (template = ''): string => filled(template, `<bdi>${escapeHtml(recipient)}</bdi>`).trimEnd();
  return {
    language: choice.locale,
    subject: sheet.subject,
    text: asText(sheet, choice.strings, { header: inText(frame.headerText), footer: inText(frame.footerText) }),
    html: asHtml(sheet, { header: inHtml(frame.headerHtml), footer: inHtml(frame.footerHtml) }),
  };
}

const NOTHING: EventFacts = {
  method: 'REQUEST',
  component: 'VEVENT',
  uid: '',
  title: '',
  thisAndFuture: false,
  attendees: [],
};

function frameOf({ language }: Choice, templates: SiteTemplates | undefined): Frame {
  return { ...templates?.frames.get(''), ...templates?.frames.get(language) };
}

function filled(template: string, recipient: string): string {
  return fill(template, { recipient }).join('');
}
