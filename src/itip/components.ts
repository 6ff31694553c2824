import type { ContentLine } from './content-lines.ts';
import { textValue } from './content-lines.ts';

/** A component with its own lines, BEGIN and END left out. */
export type Component = {
  /** In upper case. */
  readonly name: string;
  readonly begin: ContentLine;
  readonly end: ContentLine;
  readonly lines: readonly ContentLine[];
  readonly children: readonly Component[];
};

export type BuiltTree =
  | { readonly kind: 'tree'; readonly calendar: Component }
  | { readonly kind: 'refused'; readonly reason: string };

type Open = { name: string; begin: ContentLine; end: ContentLine; lines: ContentLine[]; children: Component[] };

/** The tree of lines that begin with BEGIN:VCALENDAR and end with its END. */
export function buildTree(lines: readonly ContentLine[], maxDepth: number): BuiltTree {
  const stack: Open[] = [];
  for (const line of lines) {
    const open = stack.at(-1);
    if (line.name === 'BEGIN') {
      if (stack.length >= maxDepth) return refused(`components are nested deeper than ${maxDepth}`);
      stack.push({ name: componentName(line), begin: line, end: line, lines: [], children: [] });
    } else if (open === undefined) {
      return refused(`line ${line.line} stands outside VCALENDAR`);
    } else if (line.name === 'END') {
      const name = componentName(line);
      if (name !== open.name) return refused(`line ${line.line}: found END:${name}, wanted END:${open.name}`);
      open.end = line;
      stack.pop();
      const parent = stack.at(-1);
      if (parent === undefined) {
        return line === lines.at(-1) ? { kind: 'tree', calendar: open } : refused('text after END:VCALENDAR');
      }
      parent.children.push(open);
    } else {
      open.lines.push(line);
    }
  }
  return refused(`END:${stack.at(-1)?.name ?? 'VCALENDAR'} is missing, the calendar part is cut short`);
}

/** The value of a BEGIN or END line. */
export function componentName(line: ContentLine): string {
  return textValue(line).trim().toUpperCase();
}

/** First line of that name (in upper case). */
export function property(component: Component, name: string): ContentLine | undefined {
  return component.lines.find((line) => line.name === name);
}

export function properties(component: Component, name: string): readonly ContentLine[] {
  return component.lines.filter((line) => line.name === name);
}

function refused(reason: string): BuiltTree {
  return { kind: 'refused', reason };
}
