import type { SchemaMapping } from './schema.ts';

/**
 * Sun Java System and Oracle Communications directories: inetMailUser, icsCalendarUser and, for users of Calendar
 * Server 7, davEntity with `davStore`. A user under migration is on `mailUserStatus: hold`.
 */
const sun: SchemaMapping = {
  addressAttributes: ['mail', 'mailAlternateAddress', 'mailEquivalentAddress'],
  addressPrefix: '',
  objectFilter: '',
  userClasses: ['inetMailUser', 'inetLocalMailRecipient'],
  calendarClasses: ['icsCalendarUser', 'icsCalendarResource', 'davEntity'],
  resourceClasses: ['icsCalendarResource'],
  groupClasses: ['inetMailGroup', 'icsCalendarGroup'],
  statusAttributes: [
    { scope: 'user', attribute: 'inetUserStatus' },
    { scope: 'mail', attribute: 'mailUserStatus' },
    { scope: 'mail', attribute: 'inetMailGroupStatus' },
    { scope: 'calendar', attribute: 'icsStatus' },
    // Keeps a user off Calendar Server 6. Migration to 7 sets it on everybody, so beside the marker it says nothing.
    {
      scope: 'calendar',
      attribute: 'icsAllowedServiceAccess',
      only: ['http', '-http', '-http:all'],
      fallback: true,
    },
  ],
  markerAttribute: 'davStore',
  moving: { attribute: 'mailUserStatus', value: 'hold' },
  mailHostAttribute: 'mailHost',
  keyAttribute: 'davUniqueId',
};

/** inetOrgPerson as OpenLDAP ships it. It knows no status and no calendar: every user is taken for a calendar user. */
const openldap: SchemaMapping = {
  addressAttributes: ['mail', 'mailLocalAddress'],
  addressPrefix: '',
  objectFilter: '',
  userClasses: ['inetOrgPerson', 'inetLocalMailRecipient'],
  calendarClasses: [],
  resourceClasses: [],
  groupClasses: ['groupOfNames', 'groupOfUniqueNames', 'groupOfURLs', 'nisMailAlias'],
  statusAttributes: [],
  mailHostAttribute: 'mailHost',
};

export const PRESET_NAMES = ['sun', 'openldap'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

/** Mappings that ship with the product, by the name the configuration gives them. */
export const PRESETS: Readonly<Record<PresetName, SchemaMapping>> = { sun, openldap };
