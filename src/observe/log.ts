import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';
import { LineWriter } from './line-writer.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The log of a process, with what its owner does with it. */
export type ProcessLog = Log & {
  /** Begins to write the lines that are held. */
  flush(): void;
  /** The least important lines that are written from now on. */
  setLevel(level: LogLevel): void;
  /** Opens the log's file anew, after it was renamed. */
  reopen(): void;
  /** Writes what is held and closes the file. */
  close(): Promise<void>;
};

const STANDARD_OUTPUT = 1;
const STANDARD_ERROR = 2;
const FLUSH_MS = 250;

/**
 * The process's log: JSON lines, written in batches of 4 KiB or after 250 ms; a line per message and recipient must
 * not cost a system call each.
 * @throws what the file system says when the file cannot be opened
 */
export function createLog(options: { readonly level: LogLevel; readonly file?: string }): ProcessLog {
  const writer = new LineWriter({
    to: options.file ?? STANDARD_OUTPUT,
    onTrouble: complain,
    lostLine: (lines) =>
      `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), event: 'log lines lost', lines })}\n`,
  });
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => writer.write(line) },
  );
  const timer = setInterval(() => writer.flush(), FLUSH_MS);
  timer.unref();
  return Object.assign(logger, {
    flush: () => writer.flush(),
    setLevel: (level: LogLevel) => {
      logger.level = level;
    },
    reopen: () => writer.reopen(),
    close: async () => {
      clearInterval(timer);
      await writer.close();
    },
  });
}

function complain(text: string): void {
  try {
    writeSync(STANDARD_ERROR, `${text}\n`);
  } catch {
    // Standard error is closed or full as well: there is nobody to tell.
  }
}

/** A log that goes nowhere. */
export const silentLog: Log = pino({ level: 'silent' });
