import type { BusyAccess } from '../../rules/busy-access.ts';
import type { BusyAnswer, BusyAsker } from '../broker/question.ts';
import { openBroker } from '../busy.ts';
import { busyAddressOf } from '../config/busy.ts';
import { clientAccessOf, peerAccessOf } from '../config/busy-access.ts';
import type { Config } from '../config/options.ts';
import { openDirectory } from '../directory/open.ts';
import type { Period, Window } from '../freebusy/busy.ts';
import { canonicalAddress, parseAddress } from '../mail/address.ts';
import { silentLog } from '../observe/log.ts';
import { openOutside } from '../outside.ts';
import { CommandError, EX } from './exit.ts';
import { answerLines, glyphsFor, legendLine, spanText } from './freebusy-text.ts';
import { readWindow } from './freebusy-window.ts';
import { print, printJson } from './output.ts';

export type FreeBusyOptions = {
  readonly from?: string;
  readonly to?: string;
  /** Name of a peer or client, whose access counts. */
  readonly as?: string;
  readonly json?: boolean;
};

/** More than any deadline that can be configured. */
const ASK_MS = 60_000;
const TEN_YEARS_MS = 3660 * 86_400_000;
/** Of an operator, who can read the configuration. */
const EVERYTHING: BusyAccess = {
  about: ['*'],
  notAbout: [],
  pastMs: TEN_YEARS_MS,
  aheadMs: TEN_YEARS_MS,
  longestMs: TEN_YEARS_MS,
  unknown: 'told',
};

/**
 * Asks for busy times as a server would, past the cache, and draws the answers.
 * @returns whether every attendee's are known
 */
export async function askFreeBusy(
  config: Config,
  addresses: readonly string[],
  options: FreeBusyOptions,
): Promise<boolean> {
  const window = readWindow(options.from, options.to, Date.now());
  const attendees = addresses.map(readAddress);
  const asker = askerOf(config, options.as);
  await using directory = await openDirectory(config, silentLog);
  await using outside = openOutside(config, silentLog);
  await using broker = openBroker(config, { directory, outside, log: silentLog });
  if (broker === undefined) {
    const text = 'got no section free-busy; add `free-busy: {}` to the configuration, beside `domains`';
    throw new CommandError(EX.CONFIG, text);
  }
  const originator = busyAddressOf(config);
  const question = { asker, originator, attendees, window, hops: [], fresh: true };
  const answers = await broker.ask(question, AbortSignal.timeout(ASK_MS));
  if (options.json === true) {
    printJson({ asker: asker.name, originator, window: timesOf(window), answers: answers.map(toJson) });
  } else {
    show(answers, window, `asked by ${asker.name}, for ${originator}`);
  }
  return answers.every(({ status }) => status.code === '2.0');
}

function show(answers: readonly BusyAnswer[], window: Window, by: string): void {
  const glyphs = glyphsFor(process.env);
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  print(`${spanText(window, glyphs)} (${timeZone}), ${by}`);
  if (answers.some(({ status }) => status.code === '2.0')) print(legendLine(glyphs));
  for (const answer of answers) {
    print();
    for (const line of answerLines(answer, window, glyphs)) print(line);
  }
}

function readAddress(address: string): string {
  if (parseAddress(address) === undefined)
    throw new CommandError(EX.USAGE, `got ${address}, want an address such as bob@example.com`);
  return canonicalAddress(address);
}

function askerOf(config: Config, name: string | undefined): BusyAsker {
  if (name === undefined) return { name: 'cli', access: EVERYTHING };
  const { peers } = config.ischedule;
  const clients = config.freeBusy?.clients ?? [];
  const peer = peers.find((one) => one.name === name);
  if (peer !== undefined) return { name, access: peerAccessOf(config, peer) };
  const client = clients.find((one) => one.name === name);
  if (client !== undefined) return { name, access: clientAccessOf(config, client) };
  const names = [...peers, ...clients].map((one) => one.name).join(', ');
  const wanted = names === '' ? 'but nobody is named in ischedule.peers or free-busy.clients' : `want one of ${names}`;
  throw new CommandError(EX.USAGE, `--as: got ${name}, ${wanted}`);
}

function toJson({ attendee, status, window, periods, inquiries, rule, steps }: BusyAnswer) {
  return {
    attendee,
    status,
    window: timesOf(window),
    periods: periods.map((period: Period) => ({ ...timesOf(period), type: period.type })),
    inquiries: inquiries.map((inquiry) => ({ ...inquiry, tookMs: Math.round(inquiry.tookMs) })),
    rule,
    steps,
  };
}

function timesOf({ startMs, endMs }: Window): { readonly start: string; readonly end: string } {
  return { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() };
}
