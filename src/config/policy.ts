import type { Policy } from '../../rules/decide.ts';
import { PRESETS } from '../directory/presets.ts';
import type { DomainMapping, SchemaMapping } from '../directory/schema.ts';
import { DEFAULT_LIMITS, type ExamineLimits } from '../itip/extract.ts';
import type { Method } from '../itip/message.ts';
import { type AnnotationNames, DEFAULT_ANNOTATION_NAMES } from '../mail/annotate.ts';
import type { Config, ListenerConfig } from './options.ts';
import { serverFor } from './peers.ts';

/** What the rules need to know of the configuration. */
export function policyOf(config: Config): Policy {
  const marker = config.directory === undefined ? undefined : mappingOf(config.directory).markerAttribute;
  const { backEnds, default: defaultBackEnd, domainMap } = config.calendar;
  // Without a back end that its values could name, a preset's marker says nothing; one that a person wrote does.
  const isMarked = backEnds.size > 0 || config.directory?.mapping.marker !== undefined;
  const homes = {
    backEnds,
    domainMap: domainMap?.entries ?? [],
    ...(marker === undefined || !isMarked ? {} : { marker }),
    ...(defaultBackEnd === undefined ? {} : { defaultBackEnd }),
  };
  const discover = config.ischedule.discovery.domains;
  const { servers } = config.ischedule;
  const methodsAt = (url: string): readonly Method[] | undefined => {
    const { methods = [] } = serverFor(url, servers) ?? {};
    return methods.length === 0 ? undefined : methods;
  };
  const separators = config.directory?.subAddress ?? '+';
  return {
    domains: new Set(config.domains),
    subAddressSeparators: separators === 'none' ? '' : separators,
    homes,
    catchAll: config.directory?.catchAll ?? 'mail',
    ...(discover.length === 0 ? {} : { discover }),
    ...(servers.length === 0 ? {} : { methodsAt }),
    ...(config.outbound === undefined ? {} : { unknownUid: config.outbound.unknownUid }),
  };
}

/** The preset with what the configuration changes of it. */
export function mappingOf(chosen: NonNullable<Config['directory']>): SchemaMapping {
  const preset = PRESETS[chosen.preset];
  const change = chosen.mapping;
  const named = <T extends string>(changed: T | undefined, usual: T | undefined): T | undefined =>
    changed === 'none' ? undefined : (changed ?? usual);
  const usualDomains = chosen.mapping.domains === undefined ? preset.domains : domainsOf(chosen.mapping.domains);
  return withoutAbsent({
    addressAttributes: change.addressAttributes ?? preset.addressAttributes,
    addressPrefix: change.addressPrefix ?? preset.addressPrefix,
    prefixedAttributes: change.prefixedAttributes ?? preset.prefixedAttributes,
    primaryPrefix: named(change.primaryPrefix, preset.primaryPrefix),
    catchAll: change.catchAllAddresses ?? preset.catchAll,
    objectFilter: change.objectFilter ?? preset.objectFilter,
    userClasses: change.userClasses ?? preset.userClasses,
    calendarClasses: change.calendarClasses ?? preset.calendarClasses,
    resourceClasses: change.resourceClasses ?? preset.resourceClasses,
    resourceMarks: change.resourceMarks ?? preset.resourceMarks,
    groupClasses: change.groupClasses ?? preset.groupClasses,
    groups: {
      memberDns: change.groupMemberDns ?? preset.groups.memberDns,
      memberAddresses: change.groupMemberAddresses ?? preset.groups.memberAddresses,
      memberUrls: change.groupMemberUrls ?? preset.groups.memberUrls,
      restricted: change.groupRestricted ?? preset.groups.restricted,
    },
    statusAttributes: change.status ?? preset.statusAttributes,
    markerAttribute: named(change.marker, preset.markerAttribute),
    moving: change.moving?.attribute === 'none' ? undefined : (change.moving ?? preset.moving),
    serverAttribute: named(change.server, preset.serverAttribute),
    mailHostAttribute: named(change.mailHost, preset.mailHostAttribute),
    languageAttribute: named(change.language, preset.languageAttribute),
    calendarIdAttributes: change.calendarIds ?? preset.calendarIdAttributes,
    freeBusyUrlAttribute: named(change.freeBusyUrl, preset.freeBusyUrlAttribute),
    keyAttribute: named(change.key, preset.keyAttribute),
    domains: usualDomains,
  });
}

type DomainsConfig = NonNullable<NonNullable<Config['directory']>['mapping']['domains']>;

function domainsOf(given: DomainsConfig): DomainMapping | undefined {
  const schema1 = PRESETS['sun-schema1'].domains;
  const schema2 = PRESETS['sun-schema2'].domains;
  if (given.kind === 'dc-tree' && schema1?.kind === 'dc-tree') {
    return {
      kind: 'dc-tree',
      root: given.root ?? schema1.root,
      baseAttribute: given.baseAttribute ?? schema1.baseAttribute,
      statusAttributes: given.status ?? schema1.statusAttributes,
    };
  }
  if (given.kind === 'search' && schema2?.kind === 'search') {
    return {
      kind: 'search',
      attributes: given.attributes ?? schema2.attributes,
      class: given.class ?? schema2.class,
      ...(given.root === undefined ? {} : { root: given.root }),
      statusAttributes: given.status ?? schema2.statusAttributes,
    };
  }
  return undefined;
}

type Absent<T> = { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };
type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] };

/** The same without the properties that are undefined. */
function withoutAbsent<T extends object>(whole: T): Present<T> & Absent<T> {
  return Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined)) as Present<T> & Absent<T>;
}

/** Whether invitations that leave by this listener get an envelope sender of ours. */
export function isVerp({ verp, origin }: Pick<ListenerConfig, 'verp' | 'origin'>): boolean {
  return verp ?? origin === 'inside';
}

/** Names of the status headers, as configured. */
export function annotationNames(config: Config): AnnotationNames {
  const status = config.annotate.statusHeader;
  return config.annotate.meetingHeaders ? { ...DEFAULT_ANNOTATION_NAMES, status } : { status };
}

/** How far mail of these listeners is looked into. */
export function examineLimits(listeners: readonly Pick<ListenerConfig, 'maxExamineBytes'>[]): ExamineLimits {
  return { ...DEFAULT_LIMITS, maxExamineBytes: Math.max(...listeners.map((listener) => listener.maxExamineBytes)) };
}
