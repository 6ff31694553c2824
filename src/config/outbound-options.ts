import { LANGUAGES } from '../imip/mail.ts';
import { canonicalTag } from '../mail/language-tag.ts';
import { type Field, list, map, optional, section } from './field.ts';
import { choice, domain, duration, readDomain, type Site, text, verpBase } from './kinds.ts';
import { templatesFolder } from './templates-folder.ts';

/** The section `outbound`: how mail that the gateway composes speaks, and what is remembered of it. */
export function outbound(site: Site) {
  return section(
    {
      address: verpBase({
        doc: 'The gateway’s own mailbox: From where it may not use the user’s, and what the envelope senders are made of (`local+token@domain`), so mail to it and to its sub-addresses has to come back here.',
      }),
      name: text({
        doc: 'What stands beside it for people, as in “Ann Adams via Example calendar”.',
        form: 'a name',
        default: 'Calendar',
      }),
      'from-domains': optional(
        list(domain({ doc: 'A domain.' }), {
          doc: 'Domains whose users may stand in From: those for which the smart host’s mail passes SPF or gets a DKIM signature; all of `domains` when absent.',
        }),
      ),
      language: choice(LANGUAGES, { doc: 'The language of people of whom nothing else is known.', default: 'en' }),
      languages: map(language({ doc: 'The language of its people.' }), {
        doc: 'The language by domain of the recipient, such as `{example.jp: ja}`.',
        key: 'mail domain',
        readKey: readDomain,
      }),
      templates: optional(templatesFolder(site)),
      journal: duration({
        doc: 'How long after its end a meeting is remembered: whom it invited, and by which message.',
        default: '90d',
        min: '1d',
        max: '4000d',
      }),
      'unknown-uid': choice(['post', 'mail'], {
        doc: 'What becomes of an answer to a meeting that the journal does not hold, such as one sent before the gateway came: posted, or passed on as mail only.',
        default: 'post',
      }),
    },
    {
      doc: 'How invitations for outsiders are mailed, and what comes of their answers (docs/outbound.md). Without it they are mailed as the plain calendar object.',
    },
  );
}

/** A language tag (RFC 5646); whether there are words for it is checked where the templates are known. */
function language(about: { readonly doc: string }): Field<string, '', false> {
  return text({
    ...about,
    form: 'a language, such as en or de',
    pattern: /^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/,
    normalize: (given) => canonicalTag(given) ?? given,
  });
}
