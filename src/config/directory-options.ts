import { PRESET_NAMES } from '../directory/presets.ts';
import { list, optional, section, variants } from './field.ts';
import { certificates, choice, count, duration, flag, path, type Site, secret, text, url } from './kinds.ts';

const NAME = /^[A-Za-z][A-Za-z0-9-]*$/;
const attribute = (doc: string) => text({ doc, form: 'the name of an attribute', pattern: NAME });
const classes = (doc: string) =>
  optional(list(text({ doc: 'An object class.', form: 'the name of an object class', pattern: NAME }), { doc }));

/** The section `directory`: a server or a file. */
export function directory(site: Site) {
  const common = {
    preset: choice(PRESET_NAMES, {
      doc: 'The schema the entries follow; `mapping` changes parts of it.',
      default: 'sun',
    }),
    'sub-address': text({
      doc: 'Characters that begin the detail of a sub-address (bob+work); `none` turns sub-addresses off.',
      form: 'characters such as +, or none',
      pattern: /^(none|[!-,./:;=^_~-]{1,4})$/,
      default: '+',
    }),
    'group-limit': count({
      doc: 'Most members of a list that is expanded for posting, lists within it included; a larger one goes on as mail alone.',
      default: 1000,
      min: 1,
      max: 100_000,
    }),
    'catch-all': choice(['mail', 'post'], {
      doc: 'What somebody gets who is known only by the address that takes all mail of its domain: the mail alone, or the post as well.',
      default: 'mail',
    }),
    'moving-group': optional(
      text({
        doc: 'Group of the users who are being moved between calendar servers, beside the mark of `mapping.moving`; one with more members than `group-limit` cannot be used.',
        form: 'the address or the distinguished name of a group',
        pattern: /[@=]/,
      }),
    ),
    'moving-file': optional(
      path(site, {
        doc: 'File with the addresses of the users who are being moved, one on a line, `#` before a comment; read again when it changes.',
      }),
    ),
    mapping: mapping(),
  };
  return variants(
    'kind',
    {
      ldap: section(
        {
          ...common,
          servers: list(url(['ldap', 'ldaps'], { doc: 'A server.', bare: true }), {
            doc: 'LDAP servers, tried in this order.',
            atLeastOne: true,
          }),
          'start-tls': flag({
            doc: 'Whether StartTLS comes before anything else on ldap:// connections.',
            default: false,
          }),
          ca: optional(
            certificates(site, {
              doc: 'PEM file with the authorities that may sign the servers’ certificates; the system’s when absent.',
            }),
          ),
          'bind-dn': optional(text({ doc: 'Who binds; anonymous when absent.', form: 'a distinguished name' })),
          password: optional(secret(site, { doc: 'The password of `bind-dn`.' })),
          base: text({ doc: 'Where searches start.', form: 'a distinguished name, such as o=example.com,o=isp' }),
          'connect-timeout': duration({
            doc: 'Time for connection, StartTLS and bind.',
            default: '3s',
            min: '100ms',
            max: '1m',
          }),
          'search-timeout': duration({ doc: 'Time for one look-up.', default: '5s', min: '100ms', max: '1m' }),
          'max-outstanding': count({ doc: 'Searches at a time on one connection.', default: 100, min: 1, max: 900 }),
          cache: cache(),
        },
        { doc: 'A directory server.' },
      ),
      ldif: section(
        {
          ...common,
          file: path(site, { doc: 'LDIF file with the entries, read at start.' }),
          base: optional(text({ doc: 'Entries outside of it are left out.', form: 'a distinguished name' })),
        },
        { doc: 'A file.' },
      ),
    },
    { doc: 'Who our users are.', keyDoc: 'Where the entries come from.', default: 'ldap' },
  );
}

function cache() {
  return section(
    {
      entries: count({
        doc: 'Entries kept at most, those used longest ago given up first; 0: none.',
        default: 10_000,
        min: 0,
        max: 1_000_000,
      }),
      ttl: duration({
        doc: 'How long an entry, the members of a list and those of `moving-group` are kept; after a change in the directory wait as long before relying on it.',
        default: '60s',
        min: '0s',
        max: '1h',
      }),
      'miss-ttl': duration({
        doc: 'How long it is kept that nobody has an address.',
        default: '30s',
        min: '0s',
        max: '1h',
      }),
    },
    { doc: 'What is remembered of the server’s answers; that it did not answer never is.' },
  );
}

function attributeNames(doc: string) {
  return optional(list(attribute('An attribute.'), { doc }));
}

/** How the entry of a mail domain is found, and what is read of it. */
function domains() {
  return section(
    {
      kind: choice(['none', 'dc-tree', 'search'], {
        doc: '`dc-tree`: example.com is dc=example,dc=com below `root`; `search`: an entry of `class` has the domain in one of `attributes`; `none`: domains have no entries.',
      }),
      root: optional(
        text({
          doc: 'Root of the DC tree, o=internet when absent, or where the search starts, `base` when absent.',
          form: 'a distinguished name',
        }),
      ),
      'base-attribute': optional(
        attribute('In a DC tree, the attribute with the DN above the users; inetDomainBaseDN when absent.'),
      ),
      attributes: optional(
        list(attribute('An attribute.'), {
          doc: 'For `search`, the attributes with names of the domain, its own name in the first; sunPreferredDomain and associatedDomain when absent.',
          atLeastOne: true,
        }),
      ),
      class: optional(
        text({
          doc: 'For `search`, the object class; sunManagedOrganization when absent.',
          form: 'the name of an object class',
          pattern: NAME,
        }),
      ),
      status: attributeNames(
        'Status attributes of the domain, in order; inetDomainStatus, mailDomainStatus and icsStatus when absent.',
      ),
    },
    { doc: 'Entries of mail domains. Given, it replaces what the preset says of them.' },
  );
}

function mapping() {
  const attributeTest = section(
    {
      attribute: attribute('The attribute.'),
      values: optional(
        list(text({ doc: 'A value.', form: 'text' }), { doc: 'Values of which it must have one; any when absent.' }),
      ),
    },
    { doc: 'An attribute of the entry.' },
  );
  const scope = choice(['domain', 'user', 'mail', 'calendar'], { doc: 'What it switches off.' });
  const statusAttribute = section(
    {
      scope,
      attribute: attribute('The attribute.'),
      only: optional(
        list(text({ doc: 'A value.', form: 'text' }), { doc: 'Values that count, every one when absent.' }),
      ),
      fallback: optional(flag({ doc: 'Read only while the entry has no marker and no other status of this scope.' })),
      'disabled-bits': optional(
        count({
          doc: 'The value is a number and means disabled when one of these bits is set; 2 for userAccountControl.',
          min: 1,
          max: 0x7fffffff,
        }),
      ),
      except: optional(list(attributeTest, { doc: 'Not read on entries that have one of these.' })),
    },
    { doc: 'A status attribute.' },
  );
  const orNone = (doc: string) =>
    optional(
      text({
        doc: `${doc}; \`none\`: no such attribute.`,
        form: 'the name of an attribute, or none',
        pattern: NAME,
      }),
    );
  return section(
    {
      'address-attributes': optional(
        list(attribute('An attribute.'), {
          doc: 'Attributes that hold addresses, the primary one first.',
          atLeastOne: true,
        }),
      ),
      'address-prefix': optional(
        text({ doc: 'What stands before the address in a value, such as `smtp:`.', form: 'text' }),
      ),
      'prefixed-attributes': attributeNames('Address attributes whose values may have the prefix; all when absent.'),
      'primary-prefix': optional(
        text({
          doc: 'What stands before the primary address, its case exact, such as `SMTP:`; `none`: nothing marks it.',
          form: 'text',
        }),
      ),
      'catch-all-addresses': optional(
        flag({ doc: 'Whether an address `@example.com` of an entry takes what nobody of that domain has.' }),
      ),
      'object-filter': optional(
        text({
          doc: 'LDAP filter that entries must also satisfy.',
          form: 'an LDAP filter in parentheses',
          pattern: /^\(.*\)$/,
        }),
      ),
      'user-classes': classes('Object classes of users.'),
      'calendar-classes': classes('Object classes that make an entry a calendar user.'),
      'resource-classes': classes('Object classes of rooms and equipment.'),
      'resource-marks': optional(
        list(attributeTest, { doc: 'Attributes any of which makes an entry a room or equipment.' }),
      ),
      'group-classes': classes('Object classes of lists.'),
      'group-member-dns': attributeNames('Attributes with DNs of members.'),
      'group-member-addresses': attributeNames('Attributes with addresses of members.'),
      'group-member-urls': attributeNames('Attributes with LDAP URLs that find members.'),
      'group-restricted': attributeNames(
        'Attributes that restrict who may send to a list; such a list is not posted to.',
      ),
      domains: optional(domains()),
      status: optional(list(statusAttribute, { doc: 'Status attributes, in the order of the chain.' })),
      marker: orNone('The attribute that names a user’s back end'),
      moving: optional(
        section(
          { attribute: attribute('The attribute.'), value: text({ doc: 'The value.', form: 'text' }) },
          {
            doc: 'The attribute and value of a user who is being moved between calendar servers; the attribute `none`: no such mark.',
          },
        ),
      ),
      server: orNone(
        'The attribute that names the calendar server of one user, as a back end or a URL with options, before all else',
      ),
      'mail-host': orNone('The attribute with the host of the mailbox'),
      language: orNone(
        'The attribute with the languages that the user reads, in which mail to him is worded; preferredLanguage in every preset',
      ),
      key: orNone('The attribute that never changes over a user’s life'),
      'calendar-ids': attributeNames(
        'Attributes that WCAP knows a calendar user by, the one that names his calendar first; icsCalendar and uid in the Sun presets.',
      ),
      'free-busy-url': orNone('The attribute with the URL of busy times that the user publishes (RFC 2739)'),
    },
    { doc: 'Changes to the preset; what is not named here stays.' },
  );
}
