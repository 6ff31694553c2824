import { LANGUAGES, type Language } from './mail.ts';

/** Why a mail did not arrive, as far as its sender can do something about it. */
const CAUSES = ['unknown', 'full', 'mailbox', 'size', 'silent', 'refused', 'other'] as const;
type Cause = (typeof CAUSES)[number];

/** `said`: put behind the cause; the mail server's own words stand in it as they came. */
type Reasons = Readonly<Record<Cause | 'said', string>>;

const REASONS: Readonly<Record<Language, Reasons>> = {
  en: {
    unknown: 'There is no such address.',
    full: 'The mailbox is full.',
    mailbox: 'The mailbox takes no mail.',
    size: 'The message was too large.',
    silent: 'The mail server could not be reached, or did not take the message in time.',
    refused: 'The mail server refused the message.',
    other: 'The mail server did not deliver the message.',
    said: ' The mail server said: “{text}”',
  },
  de: {
    unknown: 'Diese Adresse gibt es nicht.',
    full: 'Das Postfach ist voll.',
    mailbox: 'Das Postfach nimmt keine E-Mail an.',
    size: 'Die Nachricht war zu groß.',
    silent: 'Der Mailserver war nicht erreichbar oder hat die Nachricht nicht rechtzeitig angenommen.',
    refused: 'Der Mailserver hat die Nachricht abgelehnt.',
    other: 'Der Mailserver hat die Nachricht nicht zugestellt.',
    said: ' Der Mailserver meldete: „{text}“',
  },
  fr: {
    unknown: 'Cette adresse n’existe pas.',
    full: 'La boîte aux lettres est pleine.',
    mailbox: 'La boîte aux lettres n’accepte pas de courrier.',
    size: 'Le message était trop volumineux.',
    silent: 'Le serveur de messagerie était injoignable ou n’a pas accepté le message à temps.',
    refused: 'Le serveur de messagerie a refusé le message.',
    other: 'Le serveur de messagerie n’a pas remis le message.',
    said: ' Le serveur de messagerie a répondu : « {text} »',
  },
  es: {
    unknown: 'Esta dirección no existe.',
    full: 'El buzón está lleno.',
    mailbox: 'El buzón no acepta correo.',
    size: 'El mensaje era demasiado grande.',
    silent: 'No se pudo contactar con el servidor de correo, o este no aceptó el mensaje a tiempo.',
    refused: 'El servidor de correo rechazó el mensaje.',
    other: 'El servidor de correo no entregó el mensaje.',
    said: ' El servidor de correo respondió: «{text}»',
  },
  ja: {
    unknown: 'このアドレスは存在しません。',
    full: 'メールボックスがいっぱいです。',
    mailbox: 'メールボックスがメールを受け付けていません。',
    size: 'メッセージが大きすぎました。',
    silent: 'メールサーバーに接続できなかったか、時間内に受け付けられませんでした。',
    refused: 'メールサーバーがメッセージを拒否しました。',
    other: 'メールサーバーはメッセージを配信しませんでした。',
    said: 'サーバーの応答:「{text}」',
  },
};

/**
 * Why a mail did not arrive, in words for whoever wrote it.
 * @param status of RFC 3463
 * @param diagnostic the mail server's own words, '' when there are none
 * @param language one that has no words here gets the English ones
 */
export function failureReason(status: string, diagnostic: string, language: string): string {
  const reasons = REASONS[LANGUAGES.find((own) => own === language) ?? 'en'];
  const plain = reasons[causeOf(status)];
  // A function, since a text may hold what `replace` takes for a pattern.
  return diagnostic === '' ? plain : `${plain}${reasons.said.replace('{text}', () => diagnostic)}`;
}

function causeOf(status: string): Cause {
  if (status === '5.2.2' || status === '4.2.2') return 'full';
  if (/^[45]\.(?:2\.3|3\.4)$/.test(status)) return 'size';
  if (/^(?:5\.1|[45]\.1\.1$)/.test(status)) return 'unknown';
  if (/^[45]\.7\./.test(status)) return 'refused';
  if (/^[45]\.2\./.test(status)) return 'mailbox';
  return status.startsWith('4.') || /^5\.4\./.test(status) ? 'silent' : 'other';
}
