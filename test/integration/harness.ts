import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const root = resolve(import.meta.dirname, '../..');

/** One line of the gateway's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A gateway in a process of its own, as `imipd serve` runs it. Disposing kills it and removes its folder. */
export class Gateway {
  /** Holds imipd.yaml, and `var/` with the queue. */
  readonly folder: string;
  readonly #lines: LogLine[] = [];
  readonly #waiting = new Set<() => void>();
  /** Where the lines of the present process begin. */
  #began = 0;
  #errors = '';
  #child: ChildProcess | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @returns once it serves. @throws with the log when it does not */
  static async start(yaml: string): Promise<Gateway> {
    const gateway = new Gateway(await mkdtemp(join(tmpdir(), 'imipd-gateway-')));
    gateway.write(yaml);
    try {
      await gateway.restart();
    } catch (error) {
      await gateway[Symbol.asyncDispose]();
      throw error;
    }
    return gateway;
  }

  get config(): string {
    return join(this.folder, 'imipd.yaml');
  }

  /** Replaces imipd.yaml; the running process does not notice. */
  write(yaml: string): void {
    writeFileSync(this.config, yaml);
  }

  /** Every line since the first start, oldest first. */
  get log(): readonly LogLine[] {
    return this.#lines;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Runs the process (again) on the same configuration and queue. */
  async restart(): Promise<void> {
    if (this.#child !== undefined) await this.stop();
    this.#began = this.#lines.length;
    this.#errors = '';
    const child = spawn(process.execPath, ['src/main.ts', 'serve', '--config', this.config], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.#child = child;
    const copy = createWriteStream(join(this.folder, 'log'), { flags: 'a' });
    copy.on('error', () => undefined); // the folder may be gone before the last line
    child.once('close', () => copy.end());
    createInterface({ input: child.stdout! }).on('line', (line) => {
      copy.write(`${line}\n`);
      this.#lines.push(parseLine(line));
      this.#wake();
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    child.once('exit', () => this.#wake());
    await this.waitForLog((line) => line.event === 'ready', 20_000, this.#began);
  }

  /** The port a listener has, by its name in the configuration. */
  port(listener: string): number {
    const line = this.#lines.findLast((entry) => entry.event === 'listening' && entry.listener === listener);
    if (line === undefined) throw new Error(`no listener ${listener} in the log`);
    return Number(String(line.address).split(':').at(-1));
  }

  /**
   * The first line that fits, from those there are or still to come.
   * @param from index into `log` to begin at: lines before it do not count
   */
  async waitForLog(fits: (line: LogLine) => boolean, timeoutMs = 20_000, from = 0): Promise<LogLine> {
    const [line] = await this.waitForLines(fits, 1, timeoutMs, from);
    return line!;
  }

  /** The first `count` lines that fit. */
  async waitForLines(
    fits: (line: LogLine) => boolean,
    count: number,
    timeoutMs = 20_000,
    from = 0,
  ): Promise<readonly LogLine[]> {
    const child = this.#child;
    const deadline = AbortSignal.timeout(timeoutMs);
    deadline.addEventListener('abort', () => this.#wake(), { once: true });
    for (;;) {
      const found = this.#lines.slice(from).filter(fits);
      if (found.length >= count) return found.slice(0, count);
      const why = deadline.aborted
        ? `not logged in ${timeoutMs} ms`
        : hasEnded(child)
          ? 'the gateway ended'
          : undefined;
      if (why !== undefined) throw new Error(`${why}: ${fits}; found ${found.length} of ${count}\n${this.tail()}`);
      await new Promise<void>((wake) => this.#waiting.add(wake));
    }
  }

  /** The end of the log and of standard error, for a failed test. */
  tail(): string {
    return [...this.#lines.slice(-30).map((line) => JSON.stringify(line)), this.#errors.slice(-4000)].join('\n');
  }

  /** Ends the process with `signal` and waits for its end. @returns the exit code, or undefined after a signal */
  async kill(signal: NodeJS.Signals): Promise<number | undefined> {
    const child = this.#child;
    if (child === undefined) return undefined;
    this.#child = undefined;
    if (!hasEnded(child)) {
      const closed = once(child, 'close');
      child.kill(signal);
      await closed;
    }
    return child.exitCode ?? undefined;
  }

  /** SIGTERM: drains and stops. */
  stop(): Promise<number | undefined> {
    return this.kill('SIGTERM');
  }

  /** Runs one of the operator's commands on this gateway's configuration. */
  async command(
    ...args: readonly string[]
  ): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
    const child = spawn(process.execPath, ['src/main.ts', ...args, '--config', this.config], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

/** @returns once it serves */
export function startGateway(yaml: string): Promise<Gateway> {
  return Gateway.start(yaml);
}

function hasEnded(child: ChildProcess | undefined): boolean {
  return child === undefined || child.exitCode !== null || child.signalCode !== null;
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { text: line };
  }
}
