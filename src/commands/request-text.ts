import type { PostBatch } from '../../channel/channel.ts';
import type { Signature } from '../../channel/ischedule/signing.ts';
import { composeRequest } from '../../channel/ischedule/wire.ts';

/**
 * A request as it would be sent: request line, header fields, an empty line, the body.
 * @param signature whose key, in place of a signature that nobody could check
 */
export function requestLines(batch: PostBatch, userAgent: string, signature?: Signature): string[] {
  const { server, content } = batch;
  const flat = composeRequest(batch, userAgent);
  const fields: string[] = [];
  for (let index = 0; index < flat.length; index += 2) fields.push(`${flat[index]}: ${flat[index + 1]}`);
  return [
    `POST ${server.pathname}${server.search} HTTP/1.1`,
    `Host: ${server.host}`,
    ...fields,
    ...(signature === undefined ? [] : [`DKIM-Signature: ${signatureText(signature)}`]),
    `Content-Length: ${content.length}`,
    '',
    ...content.toString().replace(/\r\n$/, '').split('\r\n'),
  ];
}

function signatureText({ key, canonicalization }: Signature): string {
  return `d=${key.domain}; s=${key.selector}; c=${canonicalization}; …`;
}
