import type { Tone } from './kind.ts';
import { bare, escapeHtml, markup, type Phrase } from './phrase.ts';
import type { Row } from './rows.ts';
import type { Sheet } from './sheet.ts';

/** Light colours stand inline, since many programs drop style elements; those that honour dark mode honour the element. */
const TONES: Readonly<Record<Tone, { readonly light: string; readonly dark: string }>> = {
  new: { light: '#1a5fb4', dark: '#8ab4f8' },
  changed: { light: '#8f5400', dark: '#f5c06a' },
  cancelled: { light: '#b3261e', dark: '#ff9a92' },
  answer: { light: '#2b6a37', dark: '#8fd19e' },
};
const FONT = "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Noto Sans',sans-serif";
const INK = '#1c1e21';
const MUTED = '#5f6672';
const RIGHT_TO_LEFT = /^(?:ar|ckb|dv|fa|he|ps|sd|ug|ur|yi)\b/;

/**
 * The sheet as one document: tables and inline styles, which every mail program takes, nothing loaded from elsewhere.
 * @param frame a site's own HTML, trusted as it stands
 */
export function asHtml(sheet: Sheet, frame: { readonly header: string; readonly footer: string }): string {
  const { light, dark } = TONES[sheet.tone];
  const dir = RIGHT_TO_LEFT.test(sheet.locale) ? 'rtl' : 'ltr';
  const rows = sheet.rows.filter(({ value }) => value.kind !== 'text');
  const texts = sheet.rows.filter(({ value }) => value.kind === 'text');
  const parts = [
    `<!DOCTYPE html>
<html lang="${escapeHtml(sheet.locale)}" dir="${dir}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escapeHtml(sheet.subject)}</title>
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background: #16181c !important; }
  .card { background: #22252b !important; border-color: #3a3f47 !important; border-top-color: ${dark} !important; }
  .ink { color: #e8eaed !important; }
  .muted { color: #a8adb7 !important; }
  .tone { color: ${dark} !important; }
  .new { background: #3b3a24 !important; color: #f4f0d8 !important; }
  .line { border-color: #3a3f47 !important; }
}
</style>
</head>
<body class="page" style="margin:0;padding:0;background:#f2f3f5">
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" style="background:#f2f3f5">
<tr><td align="center" style="padding:24px 12px">`,
    frame.header,
    `<table role="presentation" class="card" width="600" cellpadding="0" cellspacing="0" border="0" style="width:100%;max-width:600px;background:#ffffff;border:1px solid #d9dce1;border-top:4px solid ${light};text-align:start;${FONT}">
<tr><td style="padding:24px 28px 4px">
<p class="tone" style="margin:0 0 6px;font-size:14px;line-height:20px;font-weight:bold;color:${light}">${escapeHtml(sheet.kind)}</p>
<h1 class="ink" dir="auto" style="margin:0 0 12px;font-size:24px;line-height:31px;font-weight:bold;color:${INK};overflow-wrap:anywhere">${escapeHtml(bare(sheet.title))}</h1>
${[sheet.lead, ...sheet.notes].map(paragraph).join('\n')}
</td></tr>`,
    ...(rows.length === 0
      ? []
      : [
          `<tr><td style="padding:8px 28px 8px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
${rows.map(rowHtml).join('\n')}
</table>
</td></tr>`,
        ]),
    ...texts.map(textHtml),
    `<tr><td class="line" style="padding:14px 28px 20px;border-top:1px solid #e4e6ea">
<p class="muted" style="margin:0;font-size:13px;line-height:19px;color:${MUTED};overflow-wrap:anywhere">${markup(sheet.footer)}</p>
</td></tr>
</table>`,
    frame.footer,
    `</td></tr>
</table>
</body>
</html>`,
  ];
  return `${parts.filter((part) => part !== '').join('\n')}\n`;
}

function paragraph(phrase: Phrase): string {
  return `<p class="ink" style="margin:0 0 8px;font-size:16px;line-height:24px;color:${INK};overflow-wrap:anywhere">${markup(phrase)}</p>`;
}

function rowHtml({ label, value, change, struck }: Row): string {
  return `<tr>
<th scope="row" class="muted line" valign="top" width="130" style="width:130px;padding:10px 14px 10px 0;border-top:1px solid #e4e6ea;font-size:14px;line-height:22px;font-weight:normal;text-align:start;color:${MUTED}">${escapeHtml(label)}</th>
<td class="ink line" valign="top" style="padding:10px 0;border-top:1px solid #e4e6ea;font-size:15px;line-height:22px;color:${INK};overflow-wrap:anywhere">${valueHtml(value, change, struck)}</td>
</tr>`;
}

function valueHtml(value: Row['value'], change: Row['change'], struck: Row['struck']): string {
  switch (value.kind) {
    case 'line': {
      const text = markup(value.phrase);
      if (struck === true) return `<s>${text}</s>`;
      if (change?.before === undefined) return text;
      // What a proposal would replace still stands.
      const tag = change.isProposal ? 'span' : 'del';
      return `<${tag} class="muted" style="color:${MUTED}">${markup(change.before)}</${tag}><br>\n→ ${marked(text)}`;
    }
    case 'list':
      return value.items.map(markup).join('<br>\n');
    case 'link': {
      const url = escapeHtml(value.url);
      return `<a class="tone" href="${url}" rel="noopener noreferrer nofollow" style="color:#1a5fb4">${url}</a>`;
    }
    case 'text':
      return escapeHtml(value.text).replaceAll('\n', '<br>\n');
  }
}

function textHtml({ label, value, change }: Row): string {
  const text = valueHtml(value, undefined, undefined);
  const heading = change === undefined ? escapeHtml(label) : marked(escapeHtml(label));
  return `<tr><td class="line" style="padding:14px 28px 14px;border-top:1px solid #e4e6ea">
<p class="muted" style="margin:0 0 4px;font-size:14px;line-height:22px;color:${MUTED}">${heading}</p>
<div class="ink" dir="auto" style="font-size:15px;line-height:23px;color:${INK};overflow-wrap:anywhere">${text}</div>
</td></tr>`;
}

function marked(html: string): string {
  return `<ins class="new" style="background:#fff3c4;color:${INK};text-decoration:none;font-weight:bold">${html}</ins>`;
}
