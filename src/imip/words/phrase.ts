/** A piece of text that comes from the calendar object or from somebody's mail: never markup, never layout. */
export type Foreign = { readonly foreign: string };

/** Our own words with what is foreign in them still told apart. */
export type Phrase = readonly (string | Foreign)[];

export function foreign(text: string): Phrase {
  return [{ foreign: text }];
}

const PLACEHOLDER = /\{([A-Za-z]+)\}/g;

/** The names in a template, in order. */
export function placeholdersOf(template: string): readonly string[] {
  return [...template.matchAll(PLACEHOLDER)].map((match) => match[1] ?? '');
}

/** A template with its placeholders filled; one that has no value stands as written. */
export function fill(template: string, values: Readonly<Record<string, Phrase | string>>): Phrase {
  const phrase: (string | Foreign)[] = [];
  let at = 0;
  for (const match of template.matchAll(PLACEHOLDER)) {
    const value = Object.hasOwn(values, match[1] ?? '') ? values[match[1] ?? ''] : undefined;
    phrase.push(template.slice(at, match.index));
    if (value === undefined) phrase.push(match[0]);
    else if (typeof value === 'string') phrase.push(value);
    else phrase.push(...value);
    at = match.index + match[0].length;
  }
  phrase.push(template.slice(at));
  return phrase.filter((piece) => piece !== '');
}

/** The phrase as a line of text. Right-to-left pieces are isolated, so that they cannot reorder what stands around. */
export function plain(phrase: Phrase): string {
  return phrase.map((piece) => (typeof piece === 'string' ? piece : isolated(oneLine(piece.foreign)))).join('');
}

/** The phrase as it would be compared. */
export function bare(phrase: Phrase): string {
  return phrase.map((piece) => (typeof piece === 'string' ? piece : piece.foreign)).join('');
}

/** The phrase as HTML text. */
export function markup(phrase: Phrase): string {
  return phrase
    .map((piece) =>
      typeof piece === 'string' ? escapeHtml(piece) : `<bdi>${escapeHtml(oneLine(piece.foreign))}</bdi>`,
    )
    .join('');
}

/** One line without control characters and marks of direction. */
export function oneLine(text: string): string {
  return withoutControls(text)
    .replace(/[\s\u0085]+/g, ' ')
    .trim();
}

/** Lines as they are, without control characters and marks of direction, at most one empty line in a row. */
export function manyLines(text: string): string {
  return withoutControls(text.replace(/\r\n?|[\u0085\u2028\u2029\v\f]/g, '\n'))
    .replace(/[^\S\n]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

const FIRST_STRONG_ISOLATE = '\u2068';
const POP_ISOLATE = '\u2069';

/** Hebrew, Arabic and the scripts beside them. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]|[\ud802\ud803\ud83a\ud83b]/;

export function isolated(text: string): string {
  return RIGHT_TO_LEFT.test(text) ? `${FIRST_STRONG_ISOLATE}${text}${POP_ISOLATE}` : text;
}

function withoutControls(text: string): string {
  // C0 and C1 but white space; marks, embeddings, overrides and isolates of direction; zero-width no-break space and
  // the tag characters, which hide text; halves of surrogate pairs.
  return text.toWellFormed().replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
    /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|\udb40[\udc00-\udc7f]/g,
    '',
  );
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
