import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml';
import type { OptionPath } from './problem.ts';

/** A YAML text taken apart: plain data, and the line each part stands on. */
export type Source = {
  readonly input: unknown;
  /** The line of an option's name or of a list's item; where the path ends early, of the last part that stands. */
  readonly lineOf: (path: OptionPath) => number;
};

export type SyntaxProblem = { readonly line: number; readonly text: string };

/** @returns the source, or every syntax error (duplicate names among them) with its line */
export function parseYaml(
  text: string,
):
  | { readonly ok: true; readonly source: Source }
  | { readonly ok: false; readonly problems: readonly SyntaxProblem[] } {
  const lines = new LineCounter();
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const [document, second] = Array.isArray(documents) ? documents : [];
  if (document === undefined) return { ok: true, source: { input: {}, lineOf: () => 1 } };
  const problems = [...document.errors, ...document.warnings].map((error) => ({
    line: lineAt(error.pos[0]),
    text: sentence(error.code, error.message),
  }));
  if (second !== undefined) {
    const line = lineAt(second.range[0]);
    problems.push({ line, text: 'a second document begins here (---), need all options in one' });
  }
  visit(document, {
    Alias: (_, node) => {
      if (node.resolve(document) !== undefined) return;
      problems.push({
        line: lineAt(node.range?.[0] ?? 0),
        text: `*${node.source} stands for nothing, need &${node.source} before it`,
      });
    },
    // `0123` and `1.0` are numbers to YAML, but as a password or a marker value every digit counts.
    Scalar: (_, node) => {
      if (typeof node.value !== 'number' || node.source === undefined) return;
      if (String(node.value) !== node.source) node.value = node.source;
    },
  });
  if (problems.length > 0) return { ok: false, problems: firstOfEachLine(problems) };
  try {
    const input: unknown = document.toJS();
    return { ok: true, source: { input: input ?? {}, lineOf: (path) => lineAt(offsetOf(document, path)) } };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return { ok: false, problems: [{ line: 1, text: 'aliases of aliases grow without end, need fewer of them' }] };
  }
}

/** One mistake makes the parser stumble again on the same line. */
function firstOfEachLine(problems: readonly SyntaxProblem[]): readonly SyntaxProblem[] {
  return problems.filter(({ line }, index) => problems.findIndex((other) => other.line === line) === index);
}

function offsetOf(document: Document.Parsed, path: OptionPath): number {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined || !isScalar(pair.key)) return offset;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step] as Node | undefined;
      offset = node?.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}

/** What the parser says in terms of YAML's grammar, in terms of what an administrator wrote. */
const MEANINGS: Readonly<Record<string, string>> = {
  BAD_INDENT: 'this line is indented differently from the lines it belongs to',
  BLOCK_AS_IMPLICIT_KEY: 'this line is indented differently from the lines around it, or holds a second colon',
  BLOCK_IN_FLOW: 'a bracket or brace was opened above and not closed',
  MISSING_CHAR: 'this line is indented differently from the lines around it, or a "-", bracket or quote is missing',
  MULTILINE_IMPLICIT_KEY: 'need "name: value", with a space after the colon, indented like the lines it belongs to',
};

function sentence(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this name stands twice in one section; remove one of them';
  const meaning = message.startsWith('Flow ') ? MEANINGS.BLOCK_IN_FLOW : MEANINGS[code];
  return `not YAML: ${meaning ?? `${message.charAt(0).toLowerCase()}${message.slice(1)}`}`;
}
