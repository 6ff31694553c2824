import type { Policy } from '../../rules/decide.ts';
import { PRESETS } from '../directory/presets.ts';
import type { SchemaMapping } from '../directory/schema.ts';
import { DEFAULT_LIMITS, type ExamineLimits } from '../itip/extract.ts';
import { type AnnotationNames, DEFAULT_ANNOTATION_NAMES } from '../mail/annotate.ts';
import type { Config, ListenerConfig } from './options.ts';

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
  const separators = config.directory?.subAddress ?? '+';
  return { domains: new Set(config.domains), subAddressSeparators: separators === 'none' ? '' : separators, homes };
}

/** The preset with what the configuration changes of it. */
export function mappingOf(chosen: NonNullable<Config['directory']>): SchemaMapping {
  const preset = PRESETS[chosen.preset];
  const change = chosen.mapping;
  const { markerAttribute: _, moving: __, mailHostAttribute: ___, keyAttribute: ____, ...fixed } = preset;
  const named = (changed: string | undefined, usual: string | undefined): string | undefined =>
    changed === 'none' ? undefined : (changed ?? usual);
  const marker = named(change.marker, preset.markerAttribute);
  const mailHost = named(change.mailHost, preset.mailHostAttribute);
  const key = named(change.key, preset.keyAttribute);
  const moving = change.moving?.attribute === 'none' ? undefined : (change.moving ?? preset.moving);
  return {
    ...fixed,
    ...(change.addressAttributes === undefined ? {} : { addressAttributes: change.addressAttributes }),
    ...(change.addressPrefix === undefined ? {} : { addressPrefix: change.addressPrefix }),
    ...(change.objectFilter === undefined ? {} : { objectFilter: change.objectFilter }),
    ...(change.userClasses === undefined ? {} : { userClasses: change.userClasses }),
    ...(change.calendarClasses === undefined ? {} : { calendarClasses: change.calendarClasses }),
    ...(change.resourceClasses === undefined ? {} : { resourceClasses: change.resourceClasses }),
    ...(change.groupClasses === undefined ? {} : { groupClasses: change.groupClasses }),
    ...(change.status === undefined ? {} : { statusAttributes: change.status }),
    ...(marker === undefined ? {} : { markerAttribute: marker }),
    ...(mailHost === undefined ? {} : { mailHostAttribute: mailHost }),
    ...(key === undefined ? {} : { keyAttribute: key }),
    ...(moving === undefined ? {} : { moving }),
  };
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
