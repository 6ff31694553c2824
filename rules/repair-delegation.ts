import { type Component, properties } from '../src/itip/components.ts';
import { type ContentLine, parameter, parametersOf, textValue } from '../src/itip/content-lines.ts';
import { mailboxOf, sameAddress } from '../src/mail/address.ts';

/**
 * A REPLY has one ATTENDEE, its author (RFC 5546 §3.2.3), but programs that delegate send two: who hands on and who
 * shall come (as in the example of §4.2.5). The author is the delegate when he answers, else who hands on.
 * @returns the line of the other one; undefined when this is no such pair
 */
export function otherOfDelegation(component: Component): ContentLine | undefined {
  const [one, other, ...more] = properties(component, 'ATTENDEE');
  if (one === undefined || other === undefined || more.length > 0) return undefined;
  const [from, to] = isDelegated(one) ? [one, other] : [other, one];
  if (!isDelegated(from) || isDelegated(to)) return undefined;
  if (!names(from, 'DELEGATED-TO', to) && !names(to, 'DELEGATED-FROM', from)) return undefined;
  return (partstat(to) ?? 'NEEDS-ACTION') === 'NEEDS-ACTION' ? to : from;
}

function isDelegated(line: ContentLine): boolean {
  return partstat(line) === 'DELEGATED';
}

function partstat(line: ContentLine): string | undefined {
  return parameter(line, 'PARTSTAT')?.trim().toUpperCase();
}

function names(line: ContentLine, name: string, user: ContentLine): boolean {
  const mailbox = mailboxOf(textValue(user));
  const values = parametersOf(line).find((one) => one.name === name)?.values ?? [];
  return values.some((value) => {
    const named = mailboxOf(value);
    return mailbox !== undefined && named !== undefined && sameAddress(named, mailbox);
  });
}
