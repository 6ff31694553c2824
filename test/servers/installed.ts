import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'vitest';

// Where Debian puts daemons that an ordinary PATH leaves out.
const DAEMON_FOLDERS = ['/usr/sbin', '/sbin', '/usr/lib/cyrus/bin'];

/** What a server or tool of these tests needs: files, or programs by name, and the script that installs them. */
const SERVERS: Readonly<Record<string, { readonly needs: readonly string[]; readonly script: string }>> = {
  slapd: { needs: ['slapd', 'ldapsearch', 'openssl'], script: 'slapd.sh' },
  cyrus: {
    needs: ['/usr/lib/cyrus/bin/master', '/usr/lib/cyrus/bin/httpd', 'saslpasswd2', 'curl', 'openssl'],
    script: 'cyrus.sh',
  },
  davical: { needs: ['/usr/share/davical/htdocs/caldav.php', 'php', 'psql', 'openssl', 'curl'], script: 'davical.sh' },
  sogo: { needs: ['sogod', 'memcached', 'psql'], script: 'sogo.sh' },
  postfix: { needs: ['postfix'], script: 'postfix.sh' },
  sink: { needs: ['smtp-sink'], script: 'sink.sh' },
  knot: { needs: ['knotd', 'knotc'], script: 'knot.sh' },
  icalendar: {
    needs: ['/usr/bin/python3', '/usr/lib/python3/dist-packages/icalendar/__init__.py'],
    script: 'tools.sh',
  },
  chromium: { needs: ['chromium'], script: 'tools.sh' },
};

/** In CI everything must be there: what is missing fails instead of being skipped. */
export const required = process.env.CI === 'true';

/**
 * Whether a server (`slapd`, `cyrus`, `davical`, `sogo`, `postfix`, `sink`, `knot`), a tool (`icalendar`, `chromium`),
 * or else a program of that name, is on this machine. Only looks; starts nothing.
 */
export function installed(program: string): boolean {
  return (SERVERS[program]?.needs ?? [program]).every(findable);
}

/**
 * A describe block that needs real servers, which in turn need root (daemons that drop privileges, mail queues).
 * Where something is missing it is one skipped test that says what to install; in CI one failing test.
 */
export function suite(needs: readonly string[], title: string, body: () => void): void {
  const missing = needs.filter((name) => !installed(name)).map(howToInstall);
  if (process.getuid?.() !== 0) missing.push('root');
  if (missing.length === 0) {
    describe(title, body);
  } else if (required) {
    test(title, () => {
      throw new Error(`CI runs every test, but here is missing: ${missing.join(', ')}`);
    });
  } else {
    test.skip(`${title} (needs ${missing.join(', ')})`);
  }
}

function findable(program: string): boolean {
  const candidates = program.startsWith('/')
    ? [program]
    : [...(process.env.PATH ?? '').split(':'), ...DAEMON_FOLDERS].map((folder) => join(folder, program));
  return candidates.some((file) => {
    try {
      accessSync(file, /\.(php|py)$/.test(program) ? constants.R_OK : constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function howToInstall(name: string): string {
  const script = SERVERS[name]?.script;
  return script === undefined ? name : `${name}: test/servers/${script} install`;
}
