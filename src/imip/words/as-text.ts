import type { Strings } from './en.ts';
import { fill, isolated, type Phrase, plain } from './phrase.ts';
import type { Row } from './rows.ts';
import type { Sheet } from './sheet.ts';

/** The sheet as plain text, lines ended by LF. Long lines are left to the reader's program. */
export function asText(
  sheet: Sheet,
  strings: Strings,
  frame: { readonly header: string; readonly footer: string },
): string {
  const blocks: string[] = [];
  if (frame.header !== '') blocks.push(frame.header);
  blocks.push([sheet.lead, ...sheet.notes].map((phrase) => plain(phrase)).join('\n'));
  const short = sheet.rows.filter(({ value }) => value.kind !== 'text');
  if (short.length > 0) blocks.push(short.map((row) => rowText(row, strings)).join('\n'));
  for (const row of sheet.rows) if (row.value.kind === 'text') blocks.push(rowText(row, strings));
  blocks.push(`-- \n${plain(sheet.footer)}${frame.footer === '' ? '' : `\n${frame.footer}`}`);
  return `${blocks.join('\n\n')}\n`;
}

function rowText({ label, value, change }: Row, strings: Strings): string {
  const row = (phrase: Phrase | string): string => plain(fill(strings.row, { label, value: phrase })).trimEnd();
  switch (value.kind) {
    case 'line':
      if (change?.before === undefined) return row(value.phrase);
      return `${row('')}\n    ${plain(change.before)}\n  → ${plain(value.phrase)}`;
    case 'list':
      return value.items.length === 1
        ? row(value.items[0] ?? [])
        : `${row('')}\n${value.items.map((item) => `  - ${plain(item)}`).join('\n')}`;
    case 'link':
      return row(value.url);
    case 'text':
      // Indented, so that nothing in it passes for a line of ours.
      return `${row('')}\n${value.text.replace(/^(?=.)(.*)$/gm, (line) => `  ${isolated(line)}`)}`;
  }
}
