import { subscribe } from 'node:diagnostics_channel';

/** When the headers of a request went out, by its body. */
const begun = new WeakMap<Uint8Array, number>();

// undici says nothing to its caller between a request and its answer; its diagnostics do.
subscribe('undici:client:sendHeaders', (message) => {
  const body = bodyOf(message);
  if (body !== undefined) begun.set(body, performance.now());
});

function bodyOf(message: unknown): Uint8Array | undefined {
  if (typeof message !== 'object' || message === null || !('request' in message)) return undefined;
  const { request } = message;
  if (typeof request !== 'object' || request === null || !('body' in request)) return undefined;
  return request.body instanceof Uint8Array ? request.body : undefined;
}

/**
 * How long a request waited for its connection.
 * @param body the very object that was given as its body, of no other request
 * @param startedAt by `performance.now()`
 * @returns ms until its headers went out, or until now when they never did
 */
export function connectMs(body: Uint8Array, startedAt: number): number {
  return Math.round((begun.get(body) ?? performance.now()) - startedAt);
}

/** Whether a request, known by its body, was begun: then it may have arrived. */
export function hasBegun(body: Uint8Array): boolean {
  return begun.has(body);
}
