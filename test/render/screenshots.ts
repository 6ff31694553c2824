/**
 * Renders the HTML of an invitation, an update and a cancellation in Chromium for the documentation:
 * `node test/render/screenshots.ts [folder]`, by default docs/images. Needs `chromium` in PATH, or CHROMIUM set.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { wordsFor } from '../../src/imip/words/words.ts';
import { SAMPLES } from '../unit/imip/words/samples.ts';

const folder = resolve(process.argv[2] ?? join(import.meta.dirname, '../../docs/images'));
const language = process.argv[3] ?? 'en';
const HEIGHTS = { invitation: 700, update: 740, cancellation: 520 };

mkdirSync(folder, { recursive: true });
const work = mkdtempSync(join(tmpdir(), 'render-'));
try {
  for (const [name, height] of Object.entries(HEIGHTS)) {
    const sample = SAMPLES[name];
    if (sample === undefined) throw new Error(`no sample is called ${name}`);
    const page = join(work, `${name}.html`);
    writeFileSync(page, wordsFor(sample.events, { language, ...sample.context }).html);
    execFileSync(
      process.env.CHROMIUM ?? 'chromium',
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--no-first-run',
        '--hide-scrollbars',
        `--user-data-dir=${join(work, 'profile')}`,
        `--window-size=720,${height}`,
        ...(process.env.DARK === '1' ? ['--force-dark-mode', '--blink-settings=preferredColorScheme=0'] : []),
        `--screenshot=${join(folder, `${name}.png`)}`,
        `file://${page}`,
      ],
      { stdio: 'pipe', timeout: 60_000 },
    );
    console.log(join(folder, `${name}.png`));
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
