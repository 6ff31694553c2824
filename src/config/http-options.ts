import { optional, section } from './field.ts';
import { certificates, count, duration, hostPort, privateKey, type Site } from './kinds.ts';

/** The section `http`: what is served by HTTP. */
export function http(site: Site) {
  return section({ service: optional(service(site)) }, { doc: 'What is served by HTTP.' });
}

function service(site: Site) {
  return section(
    {
      address: hostPort({
        doc: 'Where it listens. IPv6 addresses stand in brackets; port 0 is any free one.',
        default: '127.0.0.1:8008',
        anyPort: true,
      }),
      tls: optional(
        section(
          {
            cert: certificates(site, { doc: 'PEM file with the certificate and those of its issuers.' }),
            key: privateKey(site, { doc: 'PEM file with the private key.' }),
            'client-ca': optional(
              certificates(site, {
                doc: 'PEM file with the authorities of client certificates; clients are then asked for one.',
              }),
            ),
          },
          { doc: 'Serves https; without it the listener speaks in clear.' },
        ),
      ),
      'max-connections': count({ doc: 'Connections at a time.', default: 1000, min: 1, max: 100_000 }),
      'max-connections-per-client': count({
        doc: 'Connections at a time from one address, of IPv6 from one /64.',
        default: 100,
        min: 1,
        max: 100_000,
      }),
      'max-requests': count({
        doc: 'Requests at a time, three quarters of them from one address; one more is answered 503 with Retry-After.',
        default: 100,
        min: 1,
        max: 10_000,
      }),
      'request-timeout': duration({
        doc: 'Time for one whole request to come in, and for its answer to be read; a slower request is answered 408.',
        default: '30s',
        min: '1s',
        max: '10m',
      }),
      'headers-timeout': duration({
        doc: 'Time for TLS and the headers of a request to come in.',
        default: '10s',
        min: '1s',
        max: '1m',
      }),
      'idle-timeout': duration({
        doc: 'How long a connection stays open for the next request.',
        default: '30s',
        min: '1s',
        max: '10m',
      }),
    },
    {
      doc: 'The listener for calendar servers: the iSchedule receiver, questions for busy times, and our public keys. Not opened when absent.',
    },
  );
}
