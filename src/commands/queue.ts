import { createReporter } from '../../channel/bounce/deliver.ts';
import { whoIsTold } from '../../rules/notify.ts';
import type { Config } from '../config/options.ts';
import { addressKey } from '../mail/address.ts';
import type { Outcome } from '../mail/outcome.ts';
import { openSqliteStore } from '../queue/sqlite.ts';
import { type Delivery, type DeliveryState, type Message, STATES, type Store } from '../queue/store.ts';
import { decisionLines } from './decision-text.ts';
import { CommandError, EX } from './exit.ts';
import { print, printJson, printTable } from './output.ts';
import { heldTable, reasonOf, senderOf, time } from './queue-text.ts';
import { hasQueue, stateError } from './state.ts';

export type ListOptions = {
  readonly all?: boolean;
  readonly held?: boolean;
  readonly state?: string;
  readonly recipient?: string;
  readonly json?: boolean;
};
export type Selection = { readonly recipient?: string; readonly kind?: 'post' | 'mail'; readonly json?: boolean };

/**
 * Opens the queue beside a server that may be running on it.
 * @throws CommandError when there is none: a command must not make one that the server's user could then not write
 */
export async function withStore<T>(config: Config, job: (store: Store) => Promise<T> | T): Promise<T> {
  if (!hasQueue(config)) {
    throw new CommandError(
      EX.NOINPUT,
      `${config.state}: holds no queue; start imipd serve first, or name the configuration it runs with by --config`,
    );
  }
  await using store = await openStore(config);
  return await job(store);
}

async function openStore(config: Config): Promise<Store> {
  try {
    return await openSqliteStore({ folder: config.state, exclusive: false });
  } catch (error) {
    throw stateError(config, error);
  }
}

export async function listQueue(config: Config, options: ListOptions): Promise<void> {
  const states = statesOf(options);
  const { recipient } = options;
  const rows = await withStore(config, (store) => {
    // Holds are few, and those of one user may have come by several addresses.
    if (options.held === true) return heldOrBehind(store).filter((row) => isFor(row, recipient));
    return store.list({ states, ...(recipient === undefined ? {} : { recipient }) });
  });
  if (options.json === true) {
    printJson(rows);
    return;
  }
  if (rows.length === 0) {
    print(options.all === true ? 'The queue has no record.' : 'The queue is empty.');
    return;
  }
  if (options.held === true) {
    const { head, cells, late } = heldTable(rows, config.queue.holdLimitMs, Date.now());
    printTable(head, cells);
    if (late !== undefined) print(late);
    return;
  }
  printTable(
    ['ID', 'KIND', 'STATE', 'RECIPIENT', 'FROM', 'RECEIVED', 'TRIES', 'NEXT', 'METHOD', 'REASON'],
    rows.map((row) => [
      row.queueId,
      row.kind,
      row.state,
      row.recipient,
      senderOf(row),
      time(row.message.receivedAt),
      String(row.attempts),
      row.state === 'queued' ? time(row.dueAt) : '-',
      row.message.method ?? '-',
      reasonOf(row),
    ]),
  );
}

/** What is held, and the later posts of the same user and UID, which wait behind it; in order of acceptance. */
function heldOrBehind(store: Store): readonly Chosen[] {
  const held = store.list({ states: ['held'] });
  const posts = Map.groupBy(
    held.filter(({ kind }) => kind === 'post'),
    ({ uid }) => uid,
  );
  if (posts.size === 0) return held;
  const isBehind = ({ blocked, uid, user }: Delivery): boolean =>
    blocked &&
    posts.get(uid)?.some((one) => one.user === user || one.user === undefined || user === undefined) === true;
  const behind = store.list({ states: ['queued'], kind: 'post' }).filter(isBehind);
  // Queue ids ascend in order of acceptance.
  return [...held, ...behind].sort((a, b) => (a.queueId === b.queueId ? a.id - b.id : a.queueId < b.queueId ? -1 : 1));
}

export async function showMessage(
  config: Config,
  queueId: string,
  options: { readonly json?: boolean },
): Promise<void> {
  const found = await withStore(config, (store) => store.message(queueId));
  if (found === undefined) throw unknownId(queueId);
  if (options.json === true) {
    printJson(found);
    return;
  }
  const { message, deliveries } = found;
  print(`${message.id}  ${message.messageId ?? 'without Message-ID'}`);
  print(
    `  received ${time(message.receivedAt)} on ${message.listener} (${message.mode}, ${message.origin}) from ${message.client.address}, ${message.size} octets`,
  );
  print(
    `  from <${message.envelope.reversePath}>${message.method === undefined ? '' : `, ${message.method} ${message.uid ?? ''}`}`,
  );
  for (const delivery of deliveries) {
    print(`  ${delivery.kind}${wayText(delivery)} for ${whom(delivery)}: ${stateText(delivery)}`);
    if (delivery.outcome !== undefined)
      print(
        `    last: ${delivery.outcome.kind} ${delivery.outcome.status} ${delivery.outcome.diagnostic ?? delivery.outcome.reason}`,
      );
    if (delivery.told !== undefined) print(`    told: ${delivery.told}`);
    for (const decision of delivery.decisions) {
      print(`    decided: ${decision.rule}`);
      for (const line of decisionLines(decision, message.mode)) print(`      ${line}`);
    }
  }
}

/** What came back to an envelope sender of ours is no mail for a mailbox. */
function wayText({ route }: Delivery): string {
  return route === 'return' ? ' (return)' : '';
}

function whom(delivery: Delivery): string {
  return `${delivery.recipient}${delivery.list === undefined ? '' : `, a member of ${delivery.list}`}`;
}

function stateText(delivery: Delivery): string {
  return [
    delivery.state,
    `${delivery.attempts} attempt${delivery.attempts === 1 ? '' : 's'}`,
    ...(delivery.heldAt === undefined ? [] : [`since ${time(delivery.heldAt)}`]),
    ...(delivery.state !== 'queued'
      ? []
      : [delivery.blocked ? 'behind an earlier post' : `next ${time(delivery.dueAt)}`]),
    ...(delivery.released ? ['released by a person'] : []),
  ].join(', ');
}

type Acted = 'retry' | 'release' | 'delete';

const OPEN: readonly DeliveryState[] = ['queued', 'held'];

const ACTED_ON: Readonly<Record<Acted, (delivery: Delivery) => boolean>> = {
  retry: ({ state }) => state === 'queued',
  // What stands behind a held post goes on with it, and would be put on the same hold again.
  release: ({ state, blocked }) => state === 'held' || (state === 'queued' && blocked),
  delete: ({ state }) => OPEN.includes(state),
};

/** `retry`, `release` and `delete`. @returns how many deliveries were changed */
export async function operateQueue(
  config: Config,
  action: Acted,
  ids: readonly string[],
  selection: Selection,
): Promise<number> {
  return withStore(config, async (store) => {
    const chosen = choose(store, ids, selection, ACTED_ON[action]);
    const changed = await store.operate(
      action,
      chosen.map((one) => one.id),
      Date.now(),
    );
    report(action, chosen, changed, selection);
    return changed.size;
  });
}

/** Gives deliveries up now, telling the sender as an expiry would. @returns how many were changed */
export async function bounceQueue(config: Config, ids: readonly string[], selection: Selection): Promise<number> {
  return withStore(config, async (store) => {
    const reporter = createReporter({ hostname: config.hostname, store, clock: Date.now });
    const chosen = choose(store, ids, selection, ACTED_ON.delete);
    const outcome: Outcome = { kind: 'failed', status: '5.0.0', reason: 'returned by the administrator' };
    const changed = new Set<number>();
    for (const [message, deliveries] of Map.groupBy(chosen, (one) => one.message)) {
      for (const delivery of deliveries) {
        const notify = message.envelope.recipients[delivery.position]?.notify;
        const telling = whoIsTold({
          mode: message.mode,
          kind: delivery.kind,
          outcomeKind: 'failed',
          nullReversePath: message.envelope.reversePath === '',
          relayedWithoutDsn: false,
          sessionWaits: false,
          ...(notify === undefined ? {} : { notify }),
        });
        const dsns =
          telling.told === 'dsn' ? [await reporter(message, [{ delivery, outcome, action: telling.action }])] : [];
        for (const id of await store.operate('fail', [delivery.id], Date.now(), { outcome, told: telling.told, dsns }))
          changed.add(id);
      }
    }
    report('bounce', chosen, changed, selection);
    return changed.size;
  });
}

type Chosen = Delivery & { readonly message: Message };

function choose(
  store: Store,
  ids: readonly string[],
  selection: Selection,
  isActedOn: (delivery: Delivery) => boolean,
): Chosen[] {
  if (ids.length === 0 && selection.recipient === undefined) {
    throw new CommandError(EX.USAGE, 'got nothing to act on; name queue ids, or a recipient with --recipient ADDRESS');
  }
  const open = ids.length === 0 ? store.list({ states: OPEN }) : ids.flatMap((id) => ofMessage(store, id));
  return open.filter(
    (one) =>
      isActedOn(one) &&
      (selection.kind === undefined || one.kind === selection.kind) &&
      (isActedOn === ACTED_ON.release ? isFor(one, selection.recipient) : isAddressedTo(one, selection.recipient)),
  );
}

function isAddressedTo({ recipient }: Delivery, address: string | undefined): boolean {
  return address === undefined || recipient.toLowerCase() === address.toLowerCase();
}

/** Whether it is for the calendar user of this address, by whichever of his addresses it came. */
function isFor(delivery: Delivery, address: string | undefined): boolean {
  return isAddressedTo(delivery, address) || (address !== undefined && delivery.user === addressKey(address));
}

function ofMessage(store: Store, queueId: string): Chosen[] {
  const found = store.message(queueId);
  if (found === undefined) throw unknownId(queueId);
  return found.deliveries.map((delivery) => ({ ...delivery, message: found.message }));
}

function report(action: string, chosen: readonly Chosen[], changed: ReadonlySet<number>, selection: Selection): void {
  if (selection.json === true) {
    printJson(
      chosen.map((one) => ({
        queueId: one.queueId,
        kind: one.kind,
        recipient: one.recipient,
        changed: changed.has(one.id),
      })),
    );
    return;
  }
  for (const one of chosen) {
    print(
      `${one.queueId} ${one.kind} ${one.recipient}: ${changed.has(one.id) ? `${action} done` : 'not changed: an attempt is under way, or it has ended; try again'}`,
    );
  }
  if (chosen.length === 0) print(`nothing to ${action}`);
}

function statesOf(options: ListOptions): readonly DeliveryState[] {
  if (options.held === true) return ['held'];
  if (options.all === true) return STATES;
  if (options.state === undefined) return OPEN;
  const state = STATES.find((one) => one === options.state);
  if (state === undefined)
    throw new CommandError(EX.USAGE, `got --state ${options.state}, want one of ${STATES.join(', ')}`);
  return [state];
}

function unknownId(queueId: string): CommandError {
  return new CommandError(
    EX.DATAERR,
    `got queue id ${queueId}, which the queue does not know; imipd queue list --all shows what it does`,
  );
}
