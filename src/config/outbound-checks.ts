import { LANGUAGES } from '../imip/mail.ts';
import { domainOf, parseAddress } from '../mail/address.ts';
import { error, type Finding, warning } from './finding.ts';
import type { Config, OutboundConfig } from './options.ts';
import { alternatives, type OptionPath } from './problem.ts';

const at = (...rest: string[]): OptionPath => ['outbound', ...rest];

/** Every contradiction about the mail that we compose. */
export function checkOutbound(config: Config): Finding[] {
  const { outbound } = config;
  if (outbound === undefined) return [];
  return [...checkAddress(config, outbound), ...checkFromDomains(config, outbound), ...checkLanguages(outbound)];
}

function checkAddress({ domains, listeners, nextHop, smartHost }: Config, { address }: OutboundConfig): Finding[] {
  const found: Finding[] = [];
  const here = at('address');
  const local = parseAddress(address)?.local ?? '';
  const domain = domainOf(address);
  if (!domains.includes(domain)) {
    found.push(
      warning(
        here,
        `${domain} is none of our domains (${domains.join(', ')}), so its mail server has to send what comes for ${local}+…@${domain} to a listener of ours, or bounces find nobody`,
        ['domains'],
      ),
    );
  }
  if (nextHop === undefined && smartHost === undefined) {
    found.push(
      error(
        at(),
        'has no way out, need smart-host.address: the mail server for all other domains',
        ['smart-host'],
        ['next-hop'],
      ),
    );
  }
  if (!listeners.some(({ mode, origin }) => origin === 'outside' && mode !== 'copy')) {
    found.push(
      warning(
        here,
        `no listener takes mail from outside, so bounces and answers to ${local}+…@${domain} find nobody; add one with origin: outside`,
        ['listeners'],
      ),
    );
  }
  return found;
}

function checkFromDomains({ domains }: Config, { fromDomains = [] }: OutboundConfig): Finding[] {
  const others = fromDomains.filter((domain) => !domains.includes(domain));
  if (others.length === 0) return [];
  const text = `${others.join(', ')} is none of our domains; mail From its users passes DMARC only where its SPF or DKIM names our smart host`;
  return [warning(at('from-domains'), text, ['domains'])];
}

/** `de-AT` is written in German unless there are words of its own. */
function checkLanguages({ languages, templates }: OutboundConfig): Finding[] {
  const known: ReadonlySet<string> = new Set([...LANGUAGES, ...(templates?.templates.languages.keys() ?? [])]);
  return [...languages].flatMap(([domain, tag]) => {
    if (known.has(tag) || known.has(tag.split('-', 1)[0] ?? tag)) return [];
    const text = `there are no words in "${tag}", need ${alternatives([...known])}, or a template of your own (outbound.templates)`;
    return [error(at('languages', domain), text, at('templates'))];
  });
}
