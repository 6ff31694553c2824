import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The process's log: JSON lines. Lines are written in batches of 4 KiB and at the end of every turn that logged
 * (`flush`); a line per message and recipient must not cost a system call each.
 */
export function createLog(options: {
  readonly level: LogLevel;
  readonly destination?: string | number;
  readonly sync?: boolean;
}): Log & { flush(): void } {
  const stream: DestinationStream & { flushSync?: () => void } = pino.destination({
    dest: options.destination ?? 1,
    sync: options.sync ?? false,
    minLength: options.sync === true ? 0 : 4096,
  });
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  const timer = setInterval(() => logger.flush(), 250);
  timer.unref();
  return Object.assign(logger, {
    flush: () => {
      try {
        stream.flushSync?.();
      } catch (error) {
        // sonic-boom throws when the descriptor has not opened yet or is gone: nothing is left to flush then.
        if (!(error instanceof Error)) throw error;
      }
    },
  });
}

/** A log that goes nowhere. */
export const silentLog: Log = pino({ level: 'silent' });
