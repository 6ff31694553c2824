import type { Method } from '../../src/itip/message.ts';
import type { ProfileName } from '../../src/mail/disposition.ts';

/** What a kind of calendar server takes by iSchedule. */
export type Profile = {
  /** Empty: invitations reach this server's users as mail only. */
  readonly methods: readonly Method[];
};

const SCHEDULING: readonly Method[] = ['REQUEST', 'REPLY', 'CANCEL'];

/**
 * By profile name. v6 answers free/busy by iSchedule and takes invitations by mail (Calendar Server 7 installation
 * guide, coexistence); Cyrus answers 400 to every other method, and nobody else announces more.
 */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  generic: { methods: SCHEDULING },
  cyrus: { methods: SCHEDULING },
  'oracle-v7': { methods: SCHEDULING },
  'oracle-v6': { methods: [] },
  davical: { methods: SCHEDULING },
  apple: { methods: SCHEDULING },
  bedework: { methods: SCHEDULING },
};
