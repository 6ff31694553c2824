import type { Person } from '../event-facts.ts';
import type { Choice } from './language.ts';
import { fill, foreign, oneLine, type Phrase } from './phrase.ts';

/** The name alone, as in a sentence. */
export function nameOf(person: Person): Phrase {
  const name = oneLine(person.name ?? '');
  return foreign(name === '' ? person.address : name);
}

/** Name and address; the address alone where the name only repeats it. */
export function fullName(person: Person, { strings }: Choice): Phrase {
  const name = oneLine(person.name ?? '');
  if (name === '' || name.toLowerCase() === person.address.toLowerCase()) return foreign(person.address);
  return fill(strings.person, { name: foreign(name), address: foreign(person.address) });
}
