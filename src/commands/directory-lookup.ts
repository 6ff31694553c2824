import type { Config } from '../config/options.ts';
import type { Directory, Entry, Expansion } from '../directory/directory.ts';
import { openDirectory } from '../directory/open.ts';
import { canonicalAddress, parseAddress } from '../mail/address.ts';
import { silentLog } from '../observe/log.ts';
import { lookupLines } from './decision-text.ts';
import { CommandError, EX } from './exit.ts';
import { print, printJson } from './output.ts';

export type LookupOptions = { readonly members?: boolean; readonly json?: boolean };

const LOOKUP_MS = 60_000;

/**
 * What the directory says of an address now: which server found which entry how, its facts, and of a list its members.
 * @returns whether it answered; an address nobody has is an answer
 */
export async function lookupDirectory(config: Config, address: string, options: LookupOptions): Promise<boolean> {
  if (config.directory === undefined)
    throw new CommandError(EX.USAGE, 'got no directory to ask; set directory in the configuration');
  if (parseAddress(address) === undefined)
    throw new CommandError(EX.USAGE, `got ${address}, want an address such as bob@example.com`);
  await using directory = await openDirectory(config, silentLog);
  const asked = canonicalAddress(address);
  const lookup = await directory.lookup(asked, AbortSignal.timeout(LOOKUP_MS), { fresh: true });
  const groups = lookup.kind === 'found' ? lookup.entries.filter((entry) => entry.kind === 'group') : [];
  const expansions = await Promise.all(groups.map((group) => expand(directory, group)));
  if (options.json === true) {
    printJson({
      address: asked,
      lookup,
      ...(groups.length === 0
        ? {}
        : { groups: expansions.map(({ group, expansion }) => ({ dn: group.dn, expansion })) }),
    });
  } else {
    print(asked);
    for (const line of lookupLines(lookup)) print(`  ${line}`);
    for (const { group, expansion } of expansions) {
      print(`  members of ${group.dn}: ${expansionText(expansion)}`);
      if (options.members === true) for (const line of memberLines(expansion)) print(`    ${line}`);
    }
  }
  return lookup.kind !== 'no-answer' && expansions.every(({ expansion }) => expansion.kind !== 'no-answer');
}

async function expand(directory: Directory, group: Entry): Promise<{ group: Entry; expansion: Expansion }> {
  return { group, expansion: await directory.expand(group, AbortSignal.timeout(LOOKUP_MS)) };
}

/** How many are in a list. */
export function expansionText(expansion: Expansion): string {
  switch (expansion.kind) {
    case 'members': {
      const withCalendar = expansion.entries.filter((entry) => entry.calendar).length;
      const all = expansion.entries.length + expansion.addresses.length;
      const outside = expansion.addresses.length === 0 ? '' : `, ${expansion.addresses.length} not in the directory`;
      return `${all}, ${withCalendar} with a calendar${outside}`;
    }
    case 'too-large':
      return `more than ${expansion.limit}, which is the limit: nobody is posted to`;
    case 'no-answer':
      return `no answer: ${expansion.reason}`;
  }
}

function memberLines(expansion: Expansion): string[] {
  if (expansion.kind !== 'members') return [];
  return [
    ...expansion.entries.map((entry) => `${entry.mail}  ${entry.dn}${entry.calendar ? '' : '  (no calendar)'}`),
    ...expansion.addresses.map((address) => `${address}  not in the directory`),
  ];
}
