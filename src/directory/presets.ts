import type { SchemaMapping } from './schema.ts';

/**
 * Sun Java System and Oracle Communications directories: inetMailUser, icsCalendarUser and, for users of Calendar
 * Server 7, davEntity with `davStore`. A user under migration is on `mailUserStatus: hold`.
 */
const sun: SchemaMapping = {
  addressAttributes: ['mail', 'mailAlternateAddress', 'mailEquivalentAddress'],
  addressPrefix: '',
  catchAll: true,
  objectFilter: '',
  userClasses: ['inetMailUser', 'inetLocalMailRecipient'],
  calendarClasses: ['icsCalendarUser', 'icsCalendarResource', 'davEntity'],
  resourceClasses: ['icsCalendarResource'],
  groupClasses: ['inetMailGroup', 'icsCalendarGroup'],
  groups: {
    memberDns: ['uniqueMember'],
    memberAddresses: ['mgrpRFC822MailMember', 'rfc822MailMember'],
    memberUrls: ['memberURL', 'mgrpDeliverTo'],
    restricted: [
      'mgrpAllowedBroadcaster',
      'mgrpDisallowedBroadcaster',
      'mgrpAllowedDomain',
      'mgrpDisallowedDomain',
      'mgrpModerator',
      'mgrpBroadcasterPolicy',
      'mgrpAuthPassword',
    ],
  },
  statusAttributes: [
    { scope: 'user', attribute: 'inetUserStatus' },
    { scope: 'user', attribute: 'inetGroupStatus' },
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
  languageAttribute: 'preferredLanguage',
  calendarIdAttributes: ['icsCalendar', 'uid'],
  freeBusyUrlAttribute: 'calFBURL',
  keyAttribute: 'davUniqueId',
};

const domainStatus = ['inetDomainStatus', 'mailDomainStatus', 'icsStatus'];

/** Schema 1: domains stand in a DC tree beside the one of the users. */
const sunSchema1: SchemaMapping = {
  ...sun,
  domains: { kind: 'dc-tree', root: 'o=internet', baseAttribute: 'inetDomainBaseDN', statusAttributes: domainStatus },
};

/** Schema 2: one tree, in which an organization is a domain. */
const sunSchema2: SchemaMapping = {
  ...sun,
  domains: {
    kind: 'search',
    attributes: ['sunPreferredDomain', 'associatedDomain'],
    class: 'sunManagedOrganization',
    statusAttributes: domainStatus,
  },
};

/** inetOrgPerson as OpenLDAP ships it. It knows no status and no calendar: every user is taken for a calendar user. */
const openldap: SchemaMapping = {
  addressAttributes: ['mail', 'mailLocalAddress'],
  addressPrefix: '',
  catchAll: true,
  objectFilter: '',
  userClasses: ['inetOrgPerson', 'inetLocalMailRecipient'],
  calendarClasses: [],
  resourceClasses: [],
  groupClasses: ['groupOfNames', 'groupOfUniqueNames', 'groupOfURLs', 'nisMailAlias'],
  groups: {
    memberDns: ['member', 'uniqueMember'],
    memberAddresses: ['rfc822MailMember'],
    memberUrls: ['memberURL'],
    restricted: [],
  },
  statusAttributes: [],
  mailHostAttribute: 'mailHost',
  languageAttribute: 'preferredLanguage',
  calendarIdAttributes: ['uid'],
  freeBusyUrlAttribute: 'calFBURL',
};

/** Mailboxes by msExchRecipientTypeDetails, in this forest and remote. */
const ROOMS_AND_EQUIPMENT = ['16', '32', '8589934592', '17179869184'];
const LINKED_AND_SHARED = ['2', '4', '34359738368'];

/**
 * Active Directory with Exchange's attributes. A disabled account is a user who is gone, but for rooms, equipment, shared
 * mailboxes, and those linked to an account elsewhere, whose own accounts are disabled as long as they live.
 */
const activeDirectory: SchemaMapping = {
  addressAttributes: ['mail', 'proxyAddresses', 'userPrincipalName'],
  addressPrefix: 'smtp:',
  prefixedAttributes: ['proxyAddresses'],
  primaryPrefix: 'SMTP:',
  catchAll: false,
  objectFilter: '',
  userClasses: ['user'],
  calendarClasses: [],
  resourceClasses: [],
  resourceMarks: [
    { attribute: 'msExchRecipientTypeDetails', values: ROOMS_AND_EQUIPMENT },
    { attribute: 'msExchResourceDisplay' },
  ],
  groupClasses: ['group'],
  groups: {
    memberDns: ['member'],
    memberAddresses: [],
    memberUrls: [],
    restricted: [
      'authOrig',
      'unauthOrig',
      'dLMemSubmitPerms',
      'dLMemRejectPerms',
      'msExchRequireAuthToSendTo',
      'msExchEnableModeration',
    ],
  },
  statusAttributes: [
    {
      scope: 'user',
      attribute: 'userAccountControl',
      disabledBits: 2,
      except: [
        { attribute: 'msExchRecipientTypeDetails', values: [...ROOMS_AND_EQUIPMENT, ...LINKED_AND_SHARED] },
        { attribute: 'msExchResourceDisplay' },
      ],
    },
  ],
  languageAttribute: 'preferredLanguage',
  calendarIdAttributes: ['sAMAccountName'],
  keyAttribute: 'objectGUID',
};

export const PRESET_NAMES = ['sun', 'sun-schema1', 'sun-schema2', 'active-directory', 'openldap'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

/** Mappings that ship with the product, by the name the configuration gives them. */
export const PRESETS: Readonly<Record<PresetName, SchemaMapping>> = {
  sun,
  'sun-schema1': sunSchema1,
  'sun-schema2': sunSchema2,
  'active-directory': activeDirectory,
  openldap,
};
