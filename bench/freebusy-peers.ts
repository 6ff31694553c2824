import { CalendarServer6 } from '../test/peers/calendar-server-6.ts';
import type { Cs6User } from '../test/peers/calendar-server-6-calendars.ts';
import { busyTimesOf, SERVERS, serverOf, USERS, userAddress } from './freebusy-load.ts';

// The other end, forked by `freebusy.bench.ts`: the stand-ins of Calendar Server 6, each with its share of the users. They
// answer WCAP and iSchedule, and are asked the same by the load and by the gateways.

export type PeersReady = { readonly ports: readonly number[] };
/** To any message: requests since the last one. */
export type PeersCount = { readonly requests: number };

let requests = 0;
const users = Array.from({ length: USERS }, (_, user): Cs6User & { readonly user: number } => ({
  user,
  uid: `u${user}`,
  mail: [userAddress(user)],
  calendars: [{ calid: `u${user}`, busy: busyTimesOf(user) }],
}));
const servers = await Promise.all(
  Array.from({ length: SERVERS }, (_, server) =>
    CalendarServer6.listen({
      users: users.filter(({ user }) => serverOf(user) === server),
      records: false,
      manner: () => {
        requests += 1;
        return 'answer';
      },
    }),
  ),
);
process.on('message', () => {
  process.send?.({ requests } satisfies PeersCount);
  requests = 0;
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ports: servers.map(({ url }) => Number(url.port)) } satisfies PeersReady);
