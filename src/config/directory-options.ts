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

function mapping() {
  const scope = choice(['domain', 'user', 'mail', 'calendar'], { doc: 'What it switches off.' });
  const statusAttribute = section(
    {
      scope,
      attribute: attribute('The attribute.'),
      only: optional(
        list(text({ doc: 'A value.', form: 'text' }), { doc: 'Values that count, every one when absent.' }),
      ),
      fallback: optional(flag({ doc: 'Read only while the entry has no marker and no other status of this scope.' })),
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
      'group-classes': classes('Object classes of lists.'),
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
      'mail-host': orNone('The attribute with the host of the mailbox'),
      key: orNone('The attribute that never changes over a user’s life'),
    },
    { doc: 'Changes to the preset; what is not named here stays.' },
  );
}
