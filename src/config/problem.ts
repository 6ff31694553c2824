import type { AnyField } from './field.ts';
import { nearest } from './suggest.ts';

/** Where an option stands in the YAML: names of options, and numbers for places in a list. */
export type OptionPath = readonly (string | number)[];

/** Something wrong with one option; `text` says what was found and what was wanted. */
export type Problem = {
  readonly path: OptionPath;
  readonly text: string;
  /** The option that an unknown name most likely means. */
  readonly meant?: OptionPath;
};

/** A value as an error shows it: quoted, on one line, short. */
export function shown(found: unknown): string {
  if (found === undefined || found === null) return 'nothing';
  if (Array.isArray(found)) return 'a list';
  if (typeof found === 'object') return 'a section';
  const text = String(found);
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** `a, b or c` */
export function alternatives(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

/** An option that nobody knows, with what it most likely means: a name beside it, else the same name elsewhere. */
export function unknownOption(path: OptionPath, siblings: readonly string[], root: AnyField): Problem {
  const name = String(path.at(-1));
  const near = nearest(name, siblings);
  const meant = near === undefined ? placesOf(name, root)[0] : [...path.slice(0, -1), near];
  if (meant !== undefined) return { path, text: `unknown option; did you mean ${pathText(meant)}?`, meant };
  return { path, text: `unknown option; known here are ${siblings.join(', ')}` };
}

/** Where else an option of this name stands, among the sections that need no index. */
function placesOf(name: string, field: AnyField, at: OptionPath = []): OptionPath[] {
  const { shape } = field;
  if (shape.kind === 'variants') return Object.values(shape.of).flatMap((variant) => placesOf(name, variant, at));
  if (shape.kind !== 'section') return [];
  return Object.entries(shape.fields).flatMap(([key, part]) => {
    const here = [...at, key];
    return key === name && part.shape.kind !== 'refused' ? [here] : placesOf(name, part, here);
  });
}

/** `listeners[0].max-size` */
export function pathText(path: OptionPath): string {
  const name = (step: string): string => (/^[\w.*@-]+$/.test(step) ? step : JSON.stringify(step));
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${name(step)}`))
    .join('');
}
