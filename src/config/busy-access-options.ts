import { parseAddress } from '../mail/address.ts';
import { list, optional, section } from './field.ts';
import { choice, duration, readDomain, text } from './kinds.ts';

/** The section `free-busy` of one of `ischedule.peers`. */
export function peerAccess() {
  return section(access('all, of an `inside` peer, else our domains', '`told` to an `inside` peer, else `hidden`'), {
    doc: 'What it may ask of busy times.',
  });
}

/** What somebody may ask of busy times. @param usualAbout in words, as `usualUnknown` */
export const access = (usualAbout: string, usualUnknown: string) => ({
  about: optional(
    list(whom('Somebody.'), {
      doc: `Whom it may ask about: \`example.com\`, \`*.example.com\` (every subdomain), \`*\`, or an address; ${usualAbout} when absent.`,
      atLeastOne: true,
    }),
  ),
  'not-about': list(whom('Somebody.'), { doc: 'Whom not, whatever `about` says.', default: [] }),
  past: duration({
    doc: 'How far back it may look; what is asked beyond is cut off.',
    default: '62d',
    min: '0s',
    max: '20000d',
  }),
  ahead: duration({
    doc: 'How far ahead it may look; what is asked beyond is cut off.',
    default: '366d',
    min: '1h',
    max: '4000d',
  }),
  longest: duration({
    doc: 'The longest time that one question may be about; a longer one is refused.',
    default: '430d',
    min: '1h',
    max: '8000d',
  }),
  unknown: optional(
    choice(['told', 'hidden'], {
      doc: `\`hidden\`: an address that does not exist is answered as one that it may not ask about; ${usualUnknown} when absent.`,
    }),
  ),
});

/** A mailbox. @returns it with its domain normalised */
export function address(doc: string) {
  return text({
    doc,
    form: 'a mail address, such as calendar@example.com',
    pattern: { test: (given) => readAddress(given) !== undefined },
    normalize: (given) => readAddress(given) ?? given,
  });
}

function whom(doc: string) {
  return text({
    doc,
    form: 'a mail domain, *. before one for its subdomains, * for all, or an address',
    pattern: { test: (given) => readWhom(given) !== undefined },
    normalize: (given) => readWhom(given) ?? given,
  });
}

function readWhom(given: string): string | undefined {
  if (given === '*') return given;
  if (given.includes('@')) return readAddress(given);
  const found = readDomain(given.replace(/^\*\./, ''));
  return found === undefined || !given.startsWith('*.') ? found : `*.${found}`;
}

function readAddress(given: string): string | undefined {
  const parts = /[\s<>",;:]/.test(given) ? undefined : parseAddress(given);
  return parts === undefined || readDomain(parts.domain) === undefined ? undefined : `${parts.local}@${parts.domain}`;
}
