import type { PostBatch } from '../../channel/channel.ts';
import { composeRequest } from '../../channel/ischedule/wire.ts';

/** A request as it would be sent: request line, header fields, an empty line, the body. */
export function requestLines(batch: PostBatch, userAgent: string): string[] {
  const { server, content } = batch;
  const flat = composeRequest(batch, userAgent);
  const fields: string[] = [];
  for (let index = 0; index < flat.length; index += 2) fields.push(`${flat[index]}: ${flat[index + 1]}`);
  return [
    `POST ${server.pathname}${server.search} HTTP/1.1`,
    `Host: ${server.host}`,
    ...fields,
    `Content-Length: ${content.length}`,
    '',
    ...content.toString().replace(/\r\n$/, '').split('\r\n'),
  ];
}
