import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';

export type RecordedPost = {
  /** As they came, name and value in turn. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** What the server behind answered; 0 when it did not. */
  readonly status: number;
  readonly answer: string;
};

/** Stands between the gateway and a calendar server, hands everything on and keeps what was posted. */
export class HttpRecorder {
  /** Changes the body of a post on its way; what is kept is as it came. May be set while it runs. */
  tamper: ((body: Buffer) => Buffer) | undefined;
  readonly #target: URL;
  readonly #posts: RecordedPost[] = [];
  readonly #server: Server;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, answer) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const body = Buffer.concat(chunks);
        const note = (status: number, answer: Buffer) => {
          if (incoming.method !== 'POST') return;
          const { rawHeaders } = incoming;
          this.#posts.push({ rawHeaders, body: body.toString('utf8'), status, answer: answer.toString('utf8') });
        };
        const onward = request(
          {
            host: this.#target.hostname,
            port: this.#target.port,
            path: incoming.url,
            method: incoming.method,
            headers: incoming.rawHeaders,
          },
          (response) => {
            const answered: Buffer[] = [];
            response.on('data', (chunk: Buffer) => answered.push(chunk));
            response.on('end', () => note(response.statusCode ?? 0, Buffer.concat(answered)));
            answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
            response.pipe(answer);
          },
        );
        // The server behind is down, or died: the same is what the gateway shall see.
        onward.on('error', () => {
          note(0, Buffer.alloc(0));
          answer.destroy();
        });
        onward.end(incoming.method === 'POST' && this.tamper !== undefined ? this.tamper(body) : body);
      });
    });
  }

  static async listen(target: string): Promise<HttpRecorder> {
    const recorder = new HttpRecorder(new URL(target));
    recorder.#server.listen(0, '127.0.0.1');
    await once(recorder.#server, 'listening');
    return recorder;
  }

  /** The target's address, through this one. */
  get url(): string {
    const { port } = this.#server.address() as { port: number };
    return `http://127.0.0.1:${port}${this.#target.pathname}`;
  }

  /** Posts whose body has this text, oldest first. */
  posts(text: string): readonly RecordedPost[] {
    return this.#posts.filter((post) => post.body.includes(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
