import type { OutReply, OutRequest } from '../../src/http/requester.ts';

/** @param at base, with or without a slash at its end */
export function commandUrl(at: URL, command: string): URL {
  const url = new URL(at);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${command}.wcap`;
  url.search = '';
  url.hash = '';
  return url;
}

/** A command whose parameters stay out of URLs, and so out of the logs of servers and proxies. */
export function formOf(
  url: URL,
  parameters: Readonly<Record<string, string>>,
  headers?: Readonly<Record<string, string>>,
): OutRequest {
  return {
    method: 'POST',
    url,
    headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(new URLSearchParams(parameters).toString()),
  };
}

/** @returns why an answer whose status is not 200, as every one of WCAP is, is none */
export function refusalOf(reply: Extract<OutReply, { kind: 'answer' }>): string | undefined {
  const { status } = reply;
  if (status === 200) return undefined;
  if (status === 401) return 'the calendar server wants credentials (HTTP 401): look at user and password';
  if (status === 403)
    return 'the calendar server refuses the gateway (HTTP 403): look at who it lets in, and at user and password';
  if (status === 404) return 'the calendar server has no WCAP service there (HTTP 404): look at the URL';
  return `the calendar server failed (HTTP ${status})`;
}
