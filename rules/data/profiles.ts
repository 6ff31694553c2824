import type { Method } from '../../src/itip/message.ts';
import type { ProfileName } from '../../src/mail/disposition.ts';
import type { Canonicalization } from '../peer.ts';

/** What a kind of calendar server takes by iSchedule. */
export type Profile = {
  /** Empty: invitations reach this server's users as mail only. */
  readonly methods: readonly Method[];
  /** How its posts are signed where there is a key for the Originator's domain. */
  readonly sign: 'none' | Canonicalization;
  /** How it is asked what it takes before it gets a post. */
  readonly capabilities: 'none' | 'action' | 'query';
};

const SCHEDULING: readonly Method[] = ['REQUEST', 'REPLY', 'CANCEL'];

/**
 * By profile name. v6 answers free/busy by iSchedule and takes invitations by mail (Calendar Server 7 installation
 * guide, coexistence); Cyrus answers 400 to every other method, and nobody else announces more.
 */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  generic: { methods: SCHEDULING, sign: 'ischedule-relaxed', capabilities: 'action' },
  // Built without OpenDKIM everywhere: it looks at no signature.
  cyrus: { methods: SCHEDULING, sign: 'none', capabilities: 'none' },
  'oracle-v7': { methods: SCHEDULING, sign: 'none', capabilities: 'none' },
  'oracle-v6': { methods: [], sign: 'none', capabilities: 'none' },
  davical: { methods: SCHEDULING, sign: 'simple-http', capabilities: 'query' },
  // Takes an unsigned post from a listed address, and refuses a signature whose key it cannot find.
  apple: { methods: SCHEDULING, sign: 'none', capabilities: 'none' },
  bedework: { methods: SCHEDULING, sign: 'none', capabilities: 'action' },
};
