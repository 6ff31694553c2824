import { z } from 'zod';
import { alternatives, type Problem, shown, unknownOption } from './problem.ts';

/** How the parts of an option hang together, for the documentation. */
export type Shape =
  | { readonly kind: 'value' }
  | { readonly kind: 'section'; readonly fields: Fields }
  | { readonly kind: 'list'; readonly item: AnyField }
  | { readonly kind: 'map'; readonly key: string; readonly item: AnyField }
  | {
      readonly kind: 'variants';
      readonly key: string;
      readonly doc: string;
      readonly default: string;
      readonly of: Readonly<Record<string, AnyField>>;
    }
  | { readonly kind: 'refused' };

/**
 * One option, declared once: how it is read and checked, and what the documentation says of it.
 * `Suffix` is the unit that the option's name gets in `Config`; `Optional` whether it may be absent there.
 */
export type Field<T, Suffix extends string, Optional extends boolean> = {
  readonly schema: z.ZodType<T | undefined>;
  readonly suffix: Suffix;
  readonly optional: Optional;
  /** One sentence. */
  readonly doc: string;
  /** What is wanted, to follow "need". */
  readonly form: string;
  /** The default in Markdown, as an administrator would write it; undefined when there is none. */
  readonly fallback: string | undefined;
  readonly secret: boolean;
  readonly shape: Shape;
  /** Carries `T`, never a value. */
  readonly type?: T;
};
export type AnyField = Field<unknown, string, boolean>;
export type Fields = Readonly<Record<string, AnyField>>;

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type Flat<T> = { [K in keyof T]: T[K] };
type NameIn<K extends string, F, Optional extends boolean> =
  F extends Field<unknown, infer Suffix, Optional> ? `${Camel<K>}${Suffix}` : never;

/** What code receives for a field. */
export type Value<F> = F extends Field<infer T, string, boolean> ? T : never;
/** What code receives for a section: names in camelCase with their unit, absent ones left out. */
export type SectionValue<F extends Fields> = Flat<
  { readonly [K in keyof F & string as NameIn<K, F[K], false>]: Value<F[K]> } & {
    readonly [K in keyof F & string as NameIn<K, F[K], true>]?: Value<F[K]>;
  }
>;

/** What reading one value gave; `why`, one text or several, replaces the usual "got …, need …". */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why?: string | readonly string[] };

type About = { readonly doc: string; readonly default?: unknown };
type Spec<T, Suffix extends string> = About & {
  readonly suffix: Suffix;
  readonly form: string;
  /** What the documentation shows as default where that is not a constant. */
  readonly defaultText?: string;
  readonly secret?: boolean;
  readonly read: (given: unknown) => Reading<T>;
};

const WITHOUT_VALUE = { suffix: '', optional: false, fallback: undefined, secret: false } as const;

/** An option with one plain value. Without `default` it must be given, unless `optional()` is put around it. */
export function value<T, Suffix extends string>(spec: Spec<T, Suffix>): Field<T, Suffix, false> {
  const schema = z.unknown().transform((found, context): T => {
    const given = found === undefined ? spec.default : found;
    const reading: Reading<T> =
      given === undefined ? { ok: false, why: `missing, need ${spec.form}` } : spec.read(given);
    if (reading.ok) return reading.value;
    const got = spec.secret === true && typeof given === 'string' ? 'a secret that is not shown here' : shown(given);
    for (const message of [reading.why ?? `got ${got}, need ${spec.form}`].flat())
      context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
  return {
    schema,
    suffix: spec.suffix,
    optional: false,
    doc: spec.doc,
    form: spec.form,
    fallback: spec.defaultText ?? written(spec.default),
    secret: spec.secret ?? false,
    shape: { kind: 'value' },
  };
}

/** The same option, absent from `Config` when it is not given. */
export function optional<T, Suffix extends string>(field: Field<T, Suffix, boolean>): Field<T, Suffix, true> {
  return { ...field, schema: field.schema.optional(), optional: true, fallback: undefined };
}

/** An option that administrators try and that we refuse with a reason. It does not appear in the documentation. */
export function refused(reason: string): Field<never, '', true> {
  const schema = z.undefined({ error: () => reason });
  return { ...WITHOUT_VALUE, schema, optional: true, doc: reason, form: 'nothing', shape: { kind: 'refused' } };
}

/** A group of named options. Without a default all of its parts must have one; an empty section counts as given. */
export function section<F extends Fields>(
  fields: F,
  about: { readonly doc: string },
): Field<SectionValue<F>, '', false> {
  const siblings = Object.keys(fields).filter((name) => fields[name]?.shape.kind !== 'refused');
  const stranger = z.unknown().superRefine((_, context) => {
    context.addIssue({ code: 'custom', message: 'unknown option', params: { siblings } });
  });
  const form = `a section with ${siblings.join(', ')}`;
  const shape = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.schema]));
  const body = z.object(shape, { error: (issue) => `got ${shown(issue.input)}, need ${form}` }).catchall(stranger);
  // Every name is put in, so that zod asks each field about its absence instead of judging by itself.
  const absent = Object.fromEntries(Object.keys(fields).map((name) => [name, undefined]));
  const schema = z.preprocess(
    (found) => (found === undefined || found === null || isRecord(found) ? { ...absent, ...found } : found),
    body.transform((found) => renamed(found, fields) as SectionValue<F>),
  );
  return { ...WITHOUT_VALUE, schema, doc: about.doc, form, shape: { kind: 'section', fields } };
}

/** A list of like options. */
export function list<T, Suffix extends string>(
  item: Field<T, Suffix, false>,
  about: About & { readonly default?: readonly unknown[]; readonly atLeastOne?: boolean },
): Field<readonly T[], Suffix, false> {
  const form = about.atLeastOne === true ? `a list of at least one, each ${item.form}` : `a list, each ${item.form}`;
  const some = z
    .array(item.schema, {
      error: (issue) =>
        issue.input === undefined ? `missing, need ${form}` : `got ${shown(issue.input)}, need ${form}`,
    })
    .refine((found) => found.length > 0 || about.atLeastOne !== true, { error: `got an empty list, need ${form}` });
  return {
    schema: z.preprocess((found) => (found === undefined ? about.default : found), some) as z.ZodType<readonly T[]>,
    suffix: item.suffix,
    optional: false,
    doc: about.doc,
    form,
    fallback: written(about.default),
    secret: item.secret,
    shape: { kind: 'list', item },
  };
}

/**
 * A mapping whose names the administrator chooses.
 * @param about.key what a name stands for, as shown in the documentation
 * @param about.readKey turns the name into the one that is looked up; undefined refuses it
 */
export function map<T>(
  item: Field<T, '', false>,
  about: { readonly doc: string; readonly key: string; readonly readKey: (name: string) => string | undefined },
): Field<ReadonlyMap<string, T>, '', false> {
  const form = `a mapping of ${about.key} to ${item.form}`;
  const schema = z
    .preprocess(
      (found) => (found === undefined ? {} : found),
      z.record(z.string(), item.schema, { error: (issue) => `got ${shown(issue.input)}, need ${form}` }),
    )
    .transform((found, context) => {
      const entries = new Map<string, T>();
      for (const [name, value] of Object.entries(found)) {
        const key = about.readKey(name);
        if (key !== undefined && !entries.has(key)) entries.set(key, value as T);
        else {
          const message =
            key === undefined
              ? `the name ${shown(name)} is no ${about.key}`
              : `names the ${about.key} ${shown(key)} a second time`;
          context.addIssue({ code: 'custom', message, path: [name] });
        }
      }
      return entries;
    });
  return {
    ...WITHOUT_VALUE,
    schema,
    doc: about.doc,
    form,
    fallback: written({}),
    shape: { kind: 'map', key: about.key, item },
  };
}

/** Sections that exclude each other; the option named `key` says which one it is. */
export function variants<K extends string, V extends Readonly<Record<string, Field<object, '', false>>>>(
  key: K,
  of: V,
  about: { readonly doc: string; readonly keyDoc: string; readonly default: keyof V & string },
): Field<{ [N in keyof V & string]: { readonly [P in K]: N } & Value<V[N]> }[keyof V & string], '', false> {
  type Out = { [N in keyof V & string]: { readonly [P in K]: N } & Value<V[N]> }[keyof V & string];
  const form = `a section with ${key}: ${alternatives(Object.keys(of))}`;
  const kindWith = (option: string): string | undefined =>
    Object.keys(of).find((kind) => {
      const shape = of[kind]?.shape;
      return shape?.kind === 'section' && Object.hasOwn(shape.fields, option);
    });
  const schema = z.unknown().transform((found, context): Out => {
    if (!isRecord(found)) {
      context.addIssue({ code: 'custom', message: `got ${shown(found)}, need ${form}` });
      return z.NEVER;
    }
    const { [key]: name = about.default, ...rest } = found;
    const chosen = typeof name === 'string' && Object.hasOwn(of, name) ? of[name] : undefined;
    if (chosen === undefined) {
      context.addIssue({
        code: 'custom',
        message: `got ${shown(name)}, need ${alternatives(Object.keys(of))}`,
        path: [key],
      });
      return z.NEVER;
    }
    const result = chosen.schema.safeParse(rest);
    if (result.success) return { [key]: name, ...result.data } as Out;
    for (const issue of result.error.issues) {
      const kind =
        issue.path.length === 1 && siblingsOf(issue) !== undefined ? kindWith(String(issue.path[0])) : undefined;
      const message = kind === undefined ? issue.message : `goes with ${key}: ${kind}, not with ${key}: ${name}`;
      const params = kind === undefined && issue.code === 'custom' ? issue.params : undefined;
      context.addIssue({ code: 'custom', message, path: issue.path, ...(params === undefined ? {} : { params }) });
    }
    return z.NEVER;
  });
  const shape: Shape = { kind: 'variants', key, doc: about.keyDoc, default: about.default, of };
  return { ...WITHOUT_VALUE, schema, doc: about.doc, form, shape };
}

/**
 * Reads what the administrator wrote.
 * @returns the value, or everything that is wrong with it
 */
export function check<T>(
  field: Field<T, string, false>,
  input: unknown,
): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] } {
  const result = field.schema.safeParse(input);
  if (result.success) return { ok: true, value: result.data as T };
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
    const siblings = siblingsOf(issue);
    return siblings === undefined ? { path, text: issue.message } : unknownOption(path, siblings, field);
  });
  return { ok: false, problems };
}

export function isRecord(found: unknown): found is Record<string, unknown> {
  return typeof found === 'object' && found !== null && !Array.isArray(found);
}

/** What an option is called in `Config`: in camelCase, with its unit. */
export function nameInConfig(name: string, field: AnyField): string {
  return `${camel(name)}${field.suffix}`;
}

function camel(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function renamed(found: Readonly<Record<string, unknown>>, fields: Fields): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    if (found[name] !== undefined) out[nameInConfig(name, field)] = found[name];
  }
  return out;
}

function written(fallback: unknown): string | undefined {
  if (fallback === undefined) return undefined;
  const text = typeof fallback === 'string' ? fallback : JSON.stringify(fallback).replaceAll('","', '", "');
  return `\`${text}\``;
}

/** The names that stand beside an option which nobody knows; undefined when something else is wrong. */
function siblingsOf(issue: z.core.$ZodIssue): readonly string[] | undefined {
  const siblings: unknown = issue.code === 'custom' ? issue.params?.siblings : undefined;
  return Array.isArray(siblings) ? siblings : undefined;
}
