import { checkFreeBusy } from './busy-checks.ts';
import { error, type Finding, isLoopback, plainHost, reaches, WILDCARDS, warning } from './finding.ts';
import { checkISchedule, checkKeyPair } from './ischedule-checks.ts';
import type { HostPort } from './kinds.ts';
import type { Config, DirectoryConfig, HopConfig, ListenerConfig } from './options.ts';
import { checkOutbound } from './outbound-checks.ts';
import type { OptionPath } from './problem.ts';

/** Every contradiction between options that are right one by one. */
export function crossCheck(config: Config): readonly Finding[] {
  return [
    ...config.listeners.flatMap((listener, index) => [
      ...checkListener(config, listener, index),
      ...checkNeighbours(config.listeners, index),
    ]),
    ...checkDirectory(config.directory),
    ...checkCalendar(config),
    ...checkHop(config, 'next-hop', config.nextHop),
    ...checkHop(config, 'smart-host', config.smartHost),
    ...checkServiceAddress(config),
    ...checkISchedule(config),
    ...checkFreeBusy(config),
    ...checkWaysOut(config),
    ...checkOutbound(config),
  ];
}

function checkListener(config: Config, listener: ListenerConfig, index: number): Finding[] {
  const at = (...rest: string[]): OptionPath => ['listeners', index, ...rest];
  const found: Finding[] = [];
  const mode = at('mode');
  if (listener.mode !== 'filter' && config.directory === undefined) {
    found.push(
      error(mode, `${listener.mode} needs a directory to know its users; add the section directory`, ['directory']),
    );
  }
  if (listener.mode === 'filter' && config.nextHop === undefined) {
    found.push(error(mode, 'filter passes mail on, need next-hop.address: the mail server that gets it', ['next-hop']));
  }
  if (listener.mode === 'copy' && listener.copyDomains.size === 0) {
    found.push(
      error(
        mode,
        'copy needs copy-domains, such as {copy.example.com: example.com}: the domain of the duplicate and that of the user',
        at('copy-domains'),
        at('collect'),
      ),
    );
  }
  if (listener.mode !== 'copy' && listener.copyDomains.size > 0) {
    found.push(
      error(
        at('copy-domains'),
        `got copy-domains with mode ${listener.mode}, need mode: copy or no copy-domains`,
        mode,
      ),
    );
  }
  for (const [from, to] of listener.copyDomains) {
    const here = at('copy-domains', from);
    if (!config.domains.includes(to)) {
      found.push(error(here, `got ${to}, need one of domains: ${config.domains.join(', ')}`, ['domains']));
    } else if (config.domains.includes(from)) {
      found.push(error(here, 'is one of domains, need a domain that only duplicates are sent to', ['domains']));
    }
  }
  if (listener.clients.some((client) => client.endsWith('/0'))) {
    found.push(
      warning(at('clients'), 'everybody may relay through this listener; name the networks of your mail servers'),
    );
  }
  const { tls } = listener;
  if (tls === undefined) return found;
  const names = { certAt: at('tls', 'cert'), keyAt: at('tls', 'key'), called: 'tls.cert' } as const;
  return [...found, ...checkKeyPair({ cert: tls.cert, key: tls.key, ...names })];
}

function checkNeighbours(listeners: readonly ListenerConfig[], index: number): Finding[] {
  const listener = listeners[index];
  if (listener === undefined) return [];
  const here: OptionPath = ['listeners', index];
  return listeners.slice(0, index).flatMap((earlier, place) => {
    const there: OptionPath = ['listeners', place];
    const found: Finding[] = [];
    if (earlier.name === listener.name)
      found.push(
        error([...here, 'name'], `two listeners are called ${listener.name}, need a name of its own`, [
          ...there,
          'name',
        ]),
      );
    if (collide(earlier.address, listener.address)) {
      const text = `${hostPortText(listener.address)} is taken by listener ${earlier.name} (${hostPortText(earlier.address)}), need another address or port`;
      found.push(error([...here, 'address'], text, [...there, 'address']));
    }
    return found;
  });
}

function checkDirectory(directory: DirectoryConfig | undefined): Finding[] {
  if (directory?.kind !== 'ldap') return [];
  const found: Finding[] = [];
  const at = (name: string): OptionPath => ['directory', name];
  if (directory.bindDn !== undefined && directory.password === undefined) {
    found.push(
      error(
        at('bind-dn'),
        'without a password most servers bind anonymously; add password, or remove bind-dn',
        at('password'),
      ),
    );
  }
  if (directory.password !== undefined && directory.bindDn === undefined)
    found.push(error(at('password'), 'there is nobody to bind as, need bind-dn beside it', at('bind-dn')));
  const secure = directory.servers.filter((server) => server.startsWith('ldaps:'));
  if (directory.startTls && secure.length > 0)
    found.push(
      error(at('start-tls'), `${secure.join(', ')} is TLS already, need ldap:// with start-tls`, at('servers')),
    );
  const exposed = directory.servers.filter(
    (server) => !directory.startTls && server.startsWith('ldap:') && !isLoopback(URL.parse(server)?.hostname ?? ''),
  );
  if (directory.password !== undefined && exposed.length > 0) {
    found.push(
      warning(
        at('password'),
        `goes to ${exposed.join(', ')} in clear; use ldaps:// or start-tls: true`,
        at('servers'),
        at('start-tls'),
      ),
    );
  }
  return found;
}

function checkCalendar(config: Config): Finding[] {
  const { backEnds, default: standard, domainMap } = config.calendar;
  const found = (domainMap?.notes ?? []).map((note) => warning(['calendar', 'domain-map'], note));
  if (backEnds.size === 0 && standard === undefined && (domainMap?.entries.length ?? 0) === 0) {
    found.push(
      warning(
        ['calendar'],
        'names no calendar server, so nothing is ever posted; add back-ends, default or domain-map',
      ),
    );
  }
  if (config.directory === undefined)
    found.push(warning(['directory'], 'is not configured, so no recipient is known and nothing is ever posted'));
  return found;
}

function checkHop(config: Config, name: 'next-hop' | 'smart-host', hop: HopConfig | undefined): Finding[] {
  if (hop === undefined) return [];
  const at = (option: string): OptionPath => [name, option];
  const found: Finding[] = [];
  if (hop.user !== undefined && hop.password === undefined)
    found.push(error(at('user'), 'has no password, need password beside it', at('password')));
  if (hop.password !== undefined && hop.user === undefined)
    found.push(error(at('password'), 'there is nobody to log in as, need user beside it', at('user')));
  const places = [
    { path: at('address'), address: hop.address },
    ...(hop.fallbacks ?? []).map((address, index) => ({ path: [name, 'fallbacks', index], address })),
  ];
  const far = places.find(({ address }) => !isLoopback(address.host));
  if (hop.password !== undefined && (hop.tls === 'none' || hop.tls === 'starttls') && far !== undefined) {
    const text = `may go to ${far.address.host} in clear; set tls: require or tls: implicit`;
    found.push(warning(at('password'), text, at('tls'), far.path));
  }
  places.forEach(({ path, address }, place) => {
    config.listeners.forEach((listener, index) => {
      if (!reaches(address, listener.address, config.hostname)) return;
      const text = `${hostPortText(address)} is our own listener ${listener.name}: mail would run in a circle; name the mail server behind us`;
      found.push(error(path, text, ['listeners', index, 'address']));
    });
    if (places.slice(0, place).some((earlier) => hostPortText(earlier.address) === hostPortText(address))) {
      found.push(error(path, `${hostPortText(address)} stands here a second time, need each once`, at('address')));
    }
  });
  return found;
}

function checkServiceAddress({ http: { service }, listeners }: Config): Finding[] {
  if (service === undefined) return [];
  return listeners.flatMap(({ name, address }, index) => {
    const there: OptionPath = ['listeners', index];
    const found: Finding[] = [];
    if (name === 'service') {
      const text = 'service is what the listener of http.service is called, need another name';
      found.push(error([...there, 'name'], text, ['http', 'service']));
    }
    if (collide(address, service.address)) {
      const text = `${hostPortText(service.address)} is taken by listener ${name} (${hostPortText(address)}), need another address or port`;
      found.push(error(['http', 'service', 'address'], text, [...there, 'address']));
    }
    return found;
  });
}

function checkWaysOut(config: Config): Finding[] {
  const index = config.listeners.findIndex((listener) => listener.mode === 'final');
  if (index < 0 || config.nextHop !== undefined || config.smartHost !== undefined) return [];
  return [
    warning(
      ['listeners', index, 'mode'],
      'delivery reports of this listener have no way out; add smart-host',
      ['next-hop'],
      ['smart-host'],
    ),
  ];
}

function collide(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  return plainHost(a.host) === plainHost(b.host) || WILDCARDS.has(a.host) || WILDCARDS.has(b.host);
}

function hostPortText({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
