import { readFileSync } from 'node:fs';
import type { Config } from '../config/options.ts';
import { readMessage } from '../itip/person.ts';
import type { Outcome } from '../mail/outcome.ts';
import { CommandError, EX } from './exit.ts';
import { print, printJson } from './output.ts';
import { reachable, submit, withCrlf } from './submit.ts';

export type InjectOptions = {
  readonly from?: string;
  readonly to?: readonly string[];
  readonly listener?: string;
  readonly json?: boolean;
};

/**
 * Submits a message file through a configured listener of a running gateway.
 * @returns whether every recipient was accepted
 */
export async function inject(config: Config, file: string, options: InjectOptions): Promise<boolean> {
  const content = withCrlf(readMail(file));
  const shown = await readMessage(content);
  const from = options.from ?? shown.senders[0] ?? '';
  const to = options.to ?? shown.recipients;
  if (to.length === 0)
    throw new CommandError(
      EX.USAGE,
      `${file}: got no recipient, neither --to nor a To field with an address; name them with --to`,
    );
  const listener =
    options.listener === undefined
      ? config.listeners[0]
      : config.listeners.find((one) => one.name === options.listener);
  if (listener === undefined) {
    throw new CommandError(
      EX.USAGE,
      `got listener ${options.listener ?? 'none'}, want one of ${config.listeners.map((one) => one.name).join(', ')}`,
    );
  }
  const entrance = { host: reachable(listener.address.host), port: listener.address.port, protocol: listener.protocol };
  const outcomes = await submit(entrance, from, to, content);
  if (options.json === true) printJson(to.map((recipient, index) => ({ recipient, ...outcomes[index] })));
  else for (const [index, recipient] of to.entries()) print(`${recipient}: ${describe(outcomes[index])}`);
  return outcomes.every((outcome) => outcome.kind === 'delivered');
}

/** @throws CommandError when the file cannot be read */
export function readMail(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new CommandError(EX.NOINPUT, `${file}: cannot be read: ${error.message}`);
  }
}

function describe(outcome: Outcome | undefined): string {
  if (outcome === undefined) return 'no answer';
  return `${outcome.kind === 'delivered' ? 'accepted' : outcome.kind} ${outcome.status} ${outcome.diagnostic ?? outcome.reason}`;
}
