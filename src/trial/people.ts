/** The directory of a trial site, written into its folder once, so that it can be read and changed. */
export const TRIAL_LDIF = `# The directory of this trial site, in the Sun/Oracle schema. Change it and start again.
# davStore names the calendar server that owns a user's calendar.
dn: o=example.com
objectClass: organization
o: example.com

dn: uid=alice,o=example.com
objectClass: inetOrgPerson
objectClass: inetMailUser
objectClass: icsCalendarUser
objectClass: davEntity
uid: alice
cn: Alice
mail: alice@example.com
mailAlternateAddress: a.adams@example.com
davStore: north

dn: uid=bob,o=example.com
objectClass: inetOrgPerson
objectClass: inetMailUser
objectClass: icsCalendarUser
objectClass: davEntity
uid: bob
cn: Bob
mail: bob@example.com
davStore: south

dn: uid=carol,o=example.com
objectClass: inetOrgPerson
objectClass: inetMailUser
objectClass: icsCalendarUser
objectClass: davEntity
uid: carol
cn: Carol
mail: carol@example.com
davStore: north

dn: cn=room1,o=example.com
objectClass: icsCalendarResource
objectClass: inetMailUser
objectClass: davEntity
cn: room1
mail: room1@example.com
davStore: south

# mail only, no calendar
dn: uid=grace,o=example.com
objectClass: inetOrgPerson
objectClass: inetMailUser
uid: grace
cn: Grace
mail: grace@example.com
`;

/** Users of {@link TRIAL_LDIF} that have a calendar. */
export const TRIAL_USERS = ['alice@example.com', 'bob@example.com', 'carol@example.com', 'room1@example.com'] as const;

/** Values of davStore: the two calendar servers of a trial site. */
export const TRIAL_BACK_ENDS = ['north', 'south'] as const;
