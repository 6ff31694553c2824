const WIDTH = 30;
const EVERY_MS = 100;

/** A bar on standard error, when that is a terminal; else nothing. */
export class Progress {
  readonly #title: string;
  readonly #total: number;
  #shownMs = Number.NEGATIVE_INFINITY;
  #done = 0;

  static get isShown(): boolean {
    return process.stderr.isTTY === true;
  }

  constructor(title: string, total: number) {
    this.#title = title;
    this.#total = total;
  }

  advance(by: number): void {
    this.#done += by;
    const nowMs = performance.now();
    if (!Progress.isShown || nowMs - this.#shownMs < EVERY_MS) return;
    this.#shownMs = nowMs;
    process.stderr.write(`\r\u001B[K${barText(this.#title, this.#done, this.#total)}`);
  }

  /** Takes the bar away, so that a line can be written in its place. */
  clear(): void {
    if (Progress.isShown && this.#shownMs > 0) process.stderr.write('\r\u001B[K');
  }
}

export function barText(title: string, done: number, total: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * WIDTH);
  return `${title} [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${Math.floor(share * 100)} % of ${total}`;
}
